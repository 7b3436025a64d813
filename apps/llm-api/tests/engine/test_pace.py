"""While sequences decode, a step takes about its target time, for any cost of a token. Otherwise prompts use the whole budget."""

from collections.abc import Callable
from typing import Any

import pytest
from engine.driver import Engine

from llm_api.engine.executor import Executor
from llm_api.engine.scheduler import StepPace
from llm_api.engine.sequence import Chunk

TARGET = 0.1


class SimulatedClock:
    """Time passes only in the executor: a fixed cost per step and a cost per token."""

    def __init__(self, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.seconds_of: Callable[[list[Chunk]], float] = lambda chunks: 0.01 + 0.002 * sum(chunk.length for chunk in chunks)
        run = executor.run

        def timed(chunks: list[Chunk]) -> Any:
            self.now += self.seconds_of(chunks)
            return run(chunks)

        monkeypatch.setattr(executor, "run", timed)
        monkeypatch.setattr(executor, "step_time_target", TARGET)
        monkeypatch.setattr("llm_api.engine.loop.time.perf_counter", lambda: self.now)


@pytest.fixture
def clock(tiny: Executor, monkeypatch: pytest.MonkeyPatch) -> SimulatedClock:
    return SimulatedClock(tiny, monkeypatch)


def steps_of_a_long_prompt(engine: Engine, tokens: int = 240) -> list[tuple[int, float]]:
    """Tokens and seconds of each step after a long prompt arrives while three sequences decode."""
    for name in "abc":
        engine.add(name, [4, 5, ord(name)], max_tokens=200, temperature=0, ignore_eos=True)
    engine.step()
    engine.add("long", [7] * tokens, max_tokens=1)
    steps = []
    while engine.completion("long").finish_reason is None:
        step = engine.step()
        assert {output.request_id for output in step.outputs} >= set("abc")
        steps.append((step.stats.step_tokens, step.stats.step_seconds))
    return steps


def test_a_long_prompt_does_not_delay_decoding_sequences(tiny: Executor, clock: SimulatedClock) -> None:
    steps = steps_of_a_long_prompt(Engine(tiny, budget=512))
    assert max(seconds for _, seconds in steps) < 1.2 * TARGET
    assert sum(seconds for _, seconds in steps[:-1]) > 0.8 * TARGET * len(steps[:-1]), "steps are shorter than they need to be"


def test_without_a_target_the_same_prompt_is_one_long_step(tiny: Executor, clock: SimulatedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny, "step_time_target", 0)
    [(tokens, seconds)] = steps_of_a_long_prompt(Engine(tiny, budget=512))
    assert (tokens, seconds > 4 * TARGET) == (243, True)


def test_while_nothing_decodes_prompts_use_the_whole_budget(tiny: Executor, clock: SimulatedClock) -> None:
    engine = Engine(tiny, budget=200, prefix_caching=False)
    for name in "ab":
        engine.add(name, [7] * 200, max_tokens=1)
        assert engine.step().stats.step_tokens == 200


def test_tokens_that_get_slower_with_the_context_come_in_smaller_chunks(tiny: Executor, clock: SimulatedClock) -> None:
    clock.seconds_of = lambda chunks: 0.005 + sum(chunk.length * (0.001 + 0.000004 * chunk.end) for chunk in chunks)
    steps = steps_of_a_long_prompt(Engine(tiny, budget=512))
    assert max(seconds for _, seconds in steps) < 1.2 * TARGET
    assert steps[-2][0] < max(tokens for tokens, _ in steps)


def test_prompts_progress_however_slow_the_steps_are(tiny: Executor, clock: SimulatedClock) -> None:
    clock.seconds_of = lambda chunks: 5.0
    assert len(steps_of_a_long_prompt(Engine(tiny, budget=512))) <= 240 / 16


def test_the_budget_recovers_soon_from_one_slow_step() -> None:
    pace = StepPace(TARGET)
    for _ in range(10):
        pace.record(50, 0.1)
    pace.record(50, 1.0)
    assert pace.budget < 15
    for _ in range(6):
        pace.record(int(pace.budget), int(pace.budget) * 0.002)
    assert pace.budget == pytest.approx(50, rel=0.2)
