"""Which tokens end a sequence, from when on, and which may be generated at all."""

import pytest
from engine.driver import Engine, generate

from llm_api.engine.executor import Executor

PROMPT = [5, 6, 7, 8]


@pytest.fixture
def free(tiny: Executor) -> list[int]:
    """What the model generates without limits."""
    return generate(Engine(tiny), [PROMPT], max_tokens=12, temperature=0, ignore_eos=True)[0].token_ids


def test_a_stop_token_ends_the_sequence_and_is_reported(tiny: Executor, free: list[int]) -> None:
    stop = free[5]
    (ended,) = generate(Engine(tiny), [PROMPT], max_tokens=12, temperature=0, ignore_eos=True, stop_token_ids=[stop])
    assert (ended.token_ids, ended.finish_reason) == (free[: free.index(stop) + 1], "stop")


def test_no_end_token_is_generated_before_min_tokens(tiny: Executor, free: list[int]) -> None:
    stop = free[0]
    (ended,) = generate(Engine(tiny), [PROMPT], max_tokens=12, temperature=0, ignore_eos=True, stop_token_ids=[stop], min_tokens=6)
    assert stop not in ended.token_ids[:6]
    assert len(ended.token_ids) >= 6


def test_the_end_of_text_waits_for_min_tokens(tiny: Executor) -> None:
    eos = min(tiny.model_config.eos_token_ids)
    favoured = {"logit_bias": {eos: 100.0}, "max_tokens": 12, "temperature": 0}
    (at_once,) = generate(Engine(tiny), [PROMPT], **favoured)
    (later,) = generate(Engine(tiny), [PROMPT], min_tokens=5, **favoured)
    assert at_once.token_ids == [eos]
    assert (later.token_ids.index(eos), later.finish_reason) == (5, "stop")


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_only_allowed_tokens_are_generated(tiny: Executor, temperature: float) -> None:
    allowed = [11, 250, 37]
    (made,) = generate(Engine(tiny), [PROMPT], max_tokens=30, temperature=temperature, seed=1, allowed_token_ids=allowed)
    assert set(made.token_ids) <= set(allowed)
    assert len(set(made.token_ids)) > 1 or temperature == 0


def test_a_sequence_whose_only_allowed_token_is_banned_goes_on(tiny: Executor) -> None:
    (made,) = generate(Engine(tiny), [PROMPT], max_tokens=8, temperature=1, allowed_token_ids=[11], stop_token_ids=[11], min_tokens=4)
    assert (made.token_ids, made.finish_reason) == ([11] * 4, "stop")


@pytest.mark.parametrize("temperature", [0, 1.5])
def test_no_bad_word_is_generated(tiny: Executor, free: list[int], temperature: float) -> None:
    """A word of one token, and one of two, of which only the second is forbidden after the first."""
    single, pair = free[0], [250, 37]
    wanted = {"logit_bias": dict.fromkeys((single, *pair, 11), 20.0), "seed": 1}
    (made,) = generate(Engine(tiny), [PROMPT], max_tokens=40, temperature=temperature, bad_words=[[single], pair], **wanted)
    assert single not in made.token_ids
    assert pair not in [made.token_ids[at : at + 2] for at in range(len(made.token_ids))]
    assert temperature == 0 or set(pair) <= set(made.token_ids)


def test_a_bad_word_that_the_prompt_begins_is_allowed(tiny: Executor, free: list[int]) -> None:
    (made,) = generate(Engine(tiny), [PROMPT], max_tokens=1, temperature=0, bad_words=[[PROMPT[-1], free[0]]])
    assert made.token_ids == free[:1]


def test_a_sequence_without_any_token_left_fails_alone(tiny: Executor, free: list[int]) -> None:
    engine = Engine(tiny)
    engine.add("free", PROMPT, max_tokens=12, temperature=0, ignore_eos=True)
    engine.add("stuck", PROMPT, max_tokens=12, temperature=1, allowed_token_ids=[11, 12], bad_words=[[11], [12]])
    engine.finish()
    assert engine.completion("stuck").error == "'bad_words' and 'allowed_token_ids' of this request leave no token to generate."
    assert engine.completion("free").token_ids == free


def test_neighbours_are_not_changed(tiny: Executor, free: list[int]) -> None:
    engine = Engine(tiny)
    engine.add("free", PROMPT, max_tokens=12, temperature=0, ignore_eos=True)
    engine.add("bound", PROMPT, max_tokens=12, temperature=0, allowed_token_ids=[11])
    engine.finish()
    assert engine.completion("free").token_ids == free
