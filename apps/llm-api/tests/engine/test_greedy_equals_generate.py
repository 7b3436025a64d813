"""In float32, greedy output equals transformers' `model.generate` token for token, however the engine schedules the work."""

import os
from pathlib import Path

import pytest
from engine.driver import Engine, generate, greedy
from engine.reference import Reference
from engine.texts import LENGTHS

from llm_api.engine.executor import Executor
from llm_api.engine.messages import EngineConfig

pytestmark = pytest.mark.timeout(600)  # also on a slow machine

IN_CI = bool(os.environ.get("CI"))
TOKENS = 64 if IN_CI else 24
BLOCKS = 64 if IN_CI else 28  # of a cache in which about half of the prompts and their completions fit


@pytest.fixture(scope="module")
def prompts(prompts: list[list[int]]) -> list[list[int]]:
    """Ten of each length in CI, two elsewhere."""
    return prompts if IN_CI else prompts[: 2 * len(LENGTHS)]


@pytest.fixture(scope="module")
def expected(reference: Reference, float32: Executor, prompts: list[list[int]]) -> list[list[int]]:
    """Each token of the engine is checked with one forward pass per prompt. `generate` needs one per token, so it runs once per length."""
    completions = greedy(Engine(float32), prompts, TOKENS)
    assert [reference.most_likely(*pair) for pair in zip(prompts, completions, strict=True)] == completions
    if IN_CI:
        kinds = len(LENGTHS)
        assert reference.greedy(prompts[:kinds], TOKENS) == completions[:kinds]
    return completions


@pytest.mark.parametrize("kind", range(len(LENGTHS)))
def test_alone(float32: Executor, prompts: list[list[int]], expected: list[list[int]], kind: int) -> None:
    """Prompts of one length: three in CI, one elsewhere."""
    count = 3 if IN_CI else 1
    engine = Engine(float32)
    chosen, texts = prompts[kind :: len(LENGTHS)][:count], expected[kind :: len(LENGTHS)][:count]
    assert [greedy(engine, [prompt], TOKENS)[0] for prompt in chosen] == texts


def test_in_batches_of_16_without_the_prefix_cache(float32: Executor, prompts: list[list[int]], expected: list[list[int]]) -> None:
    engine = Engine(float32, prefix_caching=False, sequences=16)
    assert greedy(engine, prompts, TOKENS) == expected
    assert all(completion.cached_tokens == 0 for completion in engine.completions.values())


def test_staggered_arrivals_then_again_from_the_prefix_cache(
    float32: Executor, prompts: list[list[int]], expected: list[list[int]]
) -> None:
    engine = Engine(float32)
    for number, prompt in enumerate(prompts):
        engine.add(str(number), prompt, max_tokens=TOKENS, temperature=0, ignore_eos=True)
        engine.step()
    engine.finish()
    assert [engine.completion(str(number)).token_ids for number in range(len(prompts))] == expected
    assert all(completion.cached_tokens == 0 for completion in engine.completions.values())

    again = generate(engine, prompts, max_tokens=TOKENS, temperature=0, ignore_eos=True)
    assert [completion.token_ids for completion in again] == expected
    assert [completion.cached_tokens for completion in again] == [(len(prompt) - 1) // 16 * 16 for prompt in prompts]


def test_preempted(float32: Executor, prompts: list[list[int]], expected: list[list[int]]) -> None:
    engine = Engine(float32, sequences=16, blocks=BLOCKS)
    assert greedy(engine, prompts, TOKENS) == expected
    assert engine.preemptions > len(prompts) // 5


def test_chunked_prefill(float32: Executor, prompts: list[list[int]], expected: list[list[int]]) -> None:
    engine = Engine(float32, prefix_caching=False, sequences=16, budget=32)
    for number, prompt in enumerate(prompts):
        engine.add(str(number), prompt, max_tokens=TOKENS, temperature=0, ignore_eos=True)
    while engine.loop.scheduler.has_work:
        assert engine.step().stats.step_tokens <= 32
    assert [engine.completion(str(number)).token_ids for number in range(len(prompts))] == expected


@pytest.mark.parametrize("path", ["torch", "general"])
def test_on_the_other_paths(model_path: Path, prompts: list[list[int]], expected: list[list[int]], path: str) -> None:
    """One prompt of each length. The tests above run on the native path, which a CPU uses by default."""
    count = len(LENGTHS)
    config = EngineConfig(model_path=str(model_path), dtype="float32", runner=path, max_num_seqs=count, kv_cache_memory=2**28)
    executor = Executor(config)
    assert executor.model.name == path
    assert greedy(Engine(executor), prompts[:count], TOKENS) == expected[:count]
