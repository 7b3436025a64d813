"""A request's grammar decides which tokens may follow. It works with all other sampling parameters, and fails alone."""

import json
import re
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import jsonschema
import pytest
import torch
from engine.driver import Completion, Engine
from llguidance import LLMatcher
from tokenizers import Tokenizer

from llm_api.engine.executor import Executor
from llm_api.engine.grammar.compiler import GrammarCompiler
from llm_api.engine.grammar.masks import MaskComputer
from llm_api.engine.grammar.state import GrammarState
from llm_api.engine.messages import AddRequest, SamplingParams
from llm_api.engine.sequence import Sequence

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "population": {"type": "integer", "minimum": 0, "maximum": 99999999},
        "capital": {"type": "boolean"},
    },
    "required": ["city", "population", "capital"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_pattern": " ?"},
}
CITY = "start: %json " + json.dumps(SCHEMA)
DIGITS = "start: /[0-9]{6}/"
PROMPT = "Describe a city in JSON."
NO_TOKEN = "allows no further token, or only tokens that its other fields forbid"


@pytest.fixture(scope="module")
def tokenizer(model_path: Path) -> Tokenizer:
    return Tokenizer.from_file(str(model_path / "tokenizer.json"))


@pytest.fixture(scope="module")
def prompt(tokenizer: Tokenizer) -> list[int]:
    found: list[int] = tokenizer.encode(PROMPT).ids
    return found


def text(tokenizer: Tokenizer, completion: Completion) -> str:
    """Without the token that ended it."""
    decoded: str = tokenizer.decode(completion.token_ids)
    return decoded


@pytest.mark.parametrize(
    "sampling",
    [
        {"temperature": 0},
        {"temperature": 1.5, "seed": 1},
        {"temperature": 1, "top_k": 5, "top_p": 0.5, "seed": 2},
        {"temperature": 0, "repetition_penalty": 1.5, "frequency_penalty": 1, "logit_bias": {5: 50}},
        {"temperature": 0, "ignore_eos": True},
        {"temperature": 0, "min_tokens": 90},
    ],
    ids=["greedy", "hot", "truncated", "penalties", "ignore_eos", "min_tokens"],
)
def test_completions_follow_the_grammar_and_end_with_it(
    float32: Executor, tokenizer: Tokenizer, prompt: list[int], sampling: dict[str, Any]
) -> None:
    engine = Engine(float32)
    engine.add("city", prompt, n=3, max_tokens=100, grammar=CITY, **sampling)
    engine.finish()
    for index in range(3):
        completion = engine.completion("city", index)
        assert completion.finish_reason == "stop"
        jsonschema.validate(json.loads(text(tokenizer, completion)), SCHEMA)


def test_a_neighbour_without_a_grammar_gets_the_same_tokens_as_alone(float32: Executor, prompt: list[int]) -> None:
    alone = Engine(float32)
    alone.add("free", prompt, max_tokens=20, temperature=0)
    alone.finish()
    together = Engine(float32)
    together.add("city", prompt, max_tokens=20, grammar=CITY, temperature=0)
    together.add("free", prompt, max_tokens=20, temperature=0)
    together.finish()
    assert together.completion("free").token_ids == alone.completion("free").token_ids
    assert together.completion("city").token_ids != alone.completion("free").token_ids


def test_a_seed_gives_the_same_tokens_after_preemptions_and_with_the_prefix_cache(float32: Executor, prompt: list[int]) -> None:
    free = Engine(float32)
    tight = Engine(float32, blocks=6)
    for engine in (free, tight):
        for number in range(4):
            engine.add(str(number), prompt, max_tokens=60, grammar=CITY, temperature=1, seed=number)
        engine.finish()
    assert tight.preemptions
    for number in range(4):
        assert tight.completion(str(number)).token_ids == free.completion(str(number)).token_ids


def test_logprobs_are_those_of_the_model(float32: Executor, prompt: list[int]) -> None:
    """Before the grammar, as they are before temperature and penalties."""
    engine = Engine(float32)
    engine.add("free", prompt, max_tokens=1, temperature=0, logprobs=2)
    engine.add("digits", prompt, max_tokens=1, temperature=0, logprobs=2, grammar=DIGITS)
    engine.finish()
    free, held = engine.completion("free").logprobs[0], engine.completion("digits").logprobs[0]
    assert [token for token, _ in held.top] == [token for token, _ in free.top]
    assert held.logprob < held.top[0][1]


def test_max_tokens_may_end_a_completion_before_its_grammar(float32: Executor, tokenizer: Tokenizer, prompt: list[int]) -> None:
    engine = Engine(float32)
    engine.add("digits", prompt, max_tokens=2, temperature=0, grammar=DIGITS)
    engine.finish()
    assert engine.completion("digits").finish_reason == "length"
    assert re.fullmatch("[0-9]{2,5}", text(tokenizer, engine.completion("digits")))


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({"grammar": "start: %json {"}, "The grammar cannot be compiled"),
        ({"grammar": DIGITS, "allowed_token_ids": [0]}, NO_TOKEN),
        ({"grammar": r"start: /[^\s\S]/"}, NO_TOKEN),
        ({"grammar": "start: start"}, NO_TOKEN),
        ({"grammar": 'start: %json {"$id": "http://x/y", "$ref": "http://x/y"}'}, NO_TOKEN),
        ({"grammar": 'start: "<|im_end|>"'}, "doesn't satisfy the grammar"),
        ({"grammar": "start: " + " | ".join(f'"{"y" * 200}{number}"' for number in range(4096))}, "too many expressions"),
    ],
    ids=["invalid", "nothing in common with allowed_token_ids", "no text", "no end", "no value", "special token", "over a limit"],
)
def test_a_grammar_that_cannot_be_followed_fails_its_own_request_alone(
    float32: Executor, prompt: list[int], sampling: dict[str, Any], message: str
) -> None:
    engine = Engine(float32)
    engine.add("good", prompt, max_tokens=8, temperature=1, seed=3, grammar=DIGITS)
    engine.add("bad", prompt, max_tokens=8, temperature=1, logprobs=1, **sampling)
    engine.finish()
    assert engine.completion("bad").finish_reason == "error"
    assert message in (engine.completion("bad").error or "")
    assert engine.completion("bad").is_request_at_fault
    assert engine.completion("good").finish_reason == "stop"
    assert engine.used_blocks == 0


def test_a_tokenizer_may_have_more_tokens_than_the_model(model_path: Path) -> None:
    vocabulary, compiled = 40_000, SimpleQueue[LLMatcher | str]()
    grammars = GrammarCompiler(model_path / "tokenizer.json", vocabulary, frozenset({2}))
    grammars.compile(DIGITS, compiled.put)
    matcher = compiled.get(timeout=60)
    assert isinstance(matcher, LLMatcher)
    request = AddRequest(request_id="a", prompt_token_ids=[1], sampling=SamplingParams(max_tokens=1))
    sequence = Sequence(request, 0, grammar=GrammarState(matcher))
    masks = MaskComputer(grammars).begin([sequence])
    assert masks is not None
    logits = torch.zeros(1, vocabulary)
    assert masks.apply(logits, [sequence]) == [0]
    assert 10 <= int(logits.isfinite().sum()) < 1000  # digits


def test_a_request_that_is_cancelled_while_its_grammar_compiles_never_starts(float32: Executor, prompt: list[int]) -> None:
    engine = Engine(float32)
    sampling = SamplingParams(max_tokens=8, grammar=DIGITS)
    engine.loop.handle(AddRequest(request_id="late", prompt_token_ids=prompt, sampling=sampling))
    engine.completions["late", 0] = Completion()
    engine.cancel("late")
    engine.loop.handle(engine.inbox.get(timeout=60))
    assert not engine.loop.scheduler.has_work
