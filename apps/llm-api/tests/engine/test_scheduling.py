"""Under any traffic, blocks are accounted for, every sequence progresses, and completions equal those of an idle engine."""

from collections import Counter
from typing import Any

from engine.driver import Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_api.engine.executor import Executor

PREFIXES = [[5] * 20, [9, 8, 7] * 8, []]
requests = st.fixed_dictionaries(
    {
        "prefix": st.sampled_from(range(len(PREFIXES))),
        "own": st.lists(st.integers(3, 299), min_size=1, max_size=30),
        "n": st.integers(1, 3),
        "max_tokens": st.integers(0, 20),
        "temperature": st.sampled_from([0.0, 1.0]),
        "steps_before": st.integers(0, 4),
        "cancel_after": st.none() | st.integers(0, 12),
        "cancel_index": st.none() | st.integers(0, 2),
    }
)


def prompt_of(request: dict[str, Any]) -> list[int]:
    return [*PREFIXES[request["prefix"]], *request["own"]]


def add(engine: Engine, name: str, request: dict[str, Any]) -> None:
    sampling = {"max_tokens": request["max_tokens"], "temperature": request["temperature"], "seed": 11, "ignore_eos": True}
    engine.add(name, prompt_of(request), request["n"], **sampling)


def check_blocks(engine: Engine) -> None:
    """Every block is used by the sequences that hold it, and free if none does."""
    pool = engine.loop.scheduler.cache.pool
    scheduler = engine.loop.scheduler
    holders = Counter(block for sequence in scheduler.running for block in sequence.block_ids)
    assert engine.used_blocks == len(holders)
    assert all(pool.is_free(block) == (block not in holders) for block in range(pool.num_blocks))
    assert not any(sequence.block_ids for sequence in scheduler.waiting)
    writable = [sequence.block_ids[-1] for sequence in scheduler.running if sequence.num_computed % scheduler.cache.block_size]
    assert all(holders[block] == 1 for block in writable), "two sequences share a block that is still written to"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    arrivals=st.lists(requests, min_size=1, max_size=10),
    blocks=st.integers(5, 24),
    budget=st.sampled_from([8, 17, 64]),
    prefix_caching=st.booleans(),
)
def test_any_traffic(tiny: Executor, arrivals: list[dict[str, Any]], blocks: int, budget: int, prefix_caching: bool) -> None:
    engine = Engine(tiny, blocks=blocks, sequences=4, budget=budget, prefix_caching=prefix_caching)
    cancelled: set[tuple[str, int]] = set()
    for number, request in enumerate(arrivals):
        for _ in range(request["steps_before"]):
            if engine.loop.scheduler.has_work:
                engine.step()
                check_blocks(engine)
        add(engine, str(number), request)
    for step in range(13):
        for number, request in enumerate(arrivals):
            if request["cancel_after"] == step:
                engine.cancel(str(number), request["cancel_index"])
                indices = range(request["n"]) if request["cancel_index"] is None else [request["cancel_index"]]
                cancelled |= {(str(number), index) for index in indices}
        if engine.loop.scheduler.has_work:
            engine.step()
            check_blocks(engine)
    engine.finish()
    assert engine.used_blocks == 0
    for number, request in enumerate(arrivals):
        idle = Engine(tiny)
        add(idle, str(number), request)
        idle.finish()
        for index in range(request["n"]):
            completion, alone = engine.completion(str(number), index), idle.completion(str(number), index)
            if len(prompt_of(request)) >= blocks * 16:
                assert completion.finish_reason == "error"
            elif (str(number), index) not in cancelled:
                fits = blocks * 16 - len(prompt_of(request))
                assert completion.token_ids == alone.token_ids[:fits]
                assert completion.finish_reason == "length"


def test_decoding_sequences_never_wait_behind_a_long_prompt(tiny: Executor) -> None:
    engine = Engine(tiny, budget=16)
    for name in "abc":
        engine.add(name, [4, 5, ord(name)], max_tokens=60, temperature=0, ignore_eos=True)
    engine.step()
    engine.add("long", [7] * 200, max_tokens=1)
    while engine.completion("long").finish_reason is None:
        step = engine.step()
        assert {output.request_id for output in step.outputs} >= set("abc")
        assert step.stats.step_tokens <= 16


def test_requests_are_served_in_order_of_arrival(tiny: Executor) -> None:
    engine = Engine(tiny, sequences=2)
    for number in range(6):
        engine.add(str(number), [3 + number] * 10, max_tokens=4, temperature=0, ignore_eos=True)
    finished = []
    while engine.loop.scheduler.has_work:
        finished += [output.request_id for output in engine.step().outputs if output.finish_reason]
    assert finished == sorted(finished)


def test_a_cancelled_request_frees_its_cache_before_the_next_step(tiny: Executor) -> None:
    engine = Engine(tiny)
    engine.add("gone", [8] * 100, max_tokens=100)
    engine.step()
    assert engine.used_blocks > 0
    engine.cancel("gone")
    assert engine.used_blocks == 0
    assert not engine.loop.scheduler.has_work


def test_choices_of_one_request_share_the_prompts_blocks(tiny: Executor) -> None:
    engine = Engine(tiny)
    engine.add("many", [6] * 64, 4, max_tokens=8, temperature=1, ignore_eos=True)
    engine.step()
    engine.step()
    assert engine.used_blocks <= 4 + 4  # four of the prompt, and one of each choice's own; unshared it would be 20
    engine.finish()
    assert [engine.completion("many", index).cached_tokens for index in range(4)] == [0, 48, 48, 48]
