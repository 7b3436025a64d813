"""NaN from the model itself: a token whose embedding is NaN. It must not reach other sequences through the cache."""

from pathlib import Path

import pytest
import torch
from engine.checkpoints import save
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from safetensors.torch import load_file, save_file

from llm_api.engine.executor import Executor

POISON = 13
SHARED = [(5 * i) % 200 + 20 for i in range(40)]
SHORT = [[20, 30, 40 + number] for number in range(3)]
LONG = [[50, 60, 70 + number] * 25 for number in range(3)]
TOKENS = 30


@pytest.fixture(scope="module", params=[("native", "none"), ("native", "int4"), ("torch", "none")], ids=" ".join)
def poisonable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Executor:
    path = save("llama-untied", tmp_path_factory.mktemp("poisonable"))
    poison(path / "model.safetensors")
    runner, quantization = request.param
    return tiny_executor(path, runner=runner, quantization=quantization)


def poison(file: Path) -> None:
    tensors = load_file(file)
    tensors["model.embed_tokens.weight"][POISON] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})


def add(engine: Engine, name: str, prompt: list[int], max_tokens: int = TOKENS) -> None:
    engine.add(name, prompt, max_tokens=max_tokens, temperature=0, ignore_eos=True)


def test_neighbours_of_all_lengths_are_as_if_alone(poisonable: Executor) -> None:
    expected = greedy(Engine(poisonable), SHORT + LONG, TOKENS)
    engine = Engine(poisonable)
    add(engine, "bad", [POISON] * 3)  # uses the cache's first block
    for number, prompt in enumerate(SHORT + LONG):
        add(engine, str(number), prompt)
        add(engine, f"bad-{number}", [*prompt, POISON])
        engine.step()
    engine.finish()
    assert [engine.completion(str(number)).token_ids for number in range(len(expected))] == expected
    assert all(c.finish_reason == "error" for (name, _), c in engine.completions.items() if name.startswith("bad"))


def test_neighbours_that_decode_beside_it_are_as_if_alone(poisonable: Executor) -> None:
    """It writes to every block that they do not hold, including the cache's first one."""
    prompts = [SHORT[0], LONG[0][:66]]  # neither begins another block in 12 tokens
    expected = greedy(Engine(poisonable), prompts, 12)
    engine = Engine(poisonable, blocks=16)
    add(engine, "first", SHORT[1])
    for number, prompt in enumerate(prompts):
        add(engine, str(number), prompt, max_tokens=12)
    for _ in range(4):
        engine.step()
    engine.cancel("first")
    add(engine, "bad", [POISON] * ((16 - engine.used_blocks) * 16 - 1))
    while engine.completion("bad").finish_reason is None:
        engine.step()
        assert all(engine.completion(str(number)).finish_reason is None for number in range(2))
    engine.finish()
    assert [engine.completion(str(number)).token_ids for number in range(2)] == expected


def test_a_prefix_shared_with_it_stays_whole(poisonable: Executor) -> None:
    prompts = [[*SHARED, 21], [*SHARED, 22]]
    expected = greedy(Engine(poisonable, prefix_caching=False), prompts, TOKENS)
    engine = Engine(poisonable)
    add(engine, "0", prompts[0])
    engine.step()
    engine.step()
    add(engine, "bad", [*SHARED, POISON])
    engine.step()
    assert engine.completion("bad").finish_reason == "error"
    add(engine, "1", prompts[1])
    engine.finish()
    assert [engine.completion(name).token_ids for name in "01"] == expected


@pytest.mark.parametrize("prefix_caching", [True, False])
def test_blocks_of_its_cancelled_request_do_not_affect_others(poisonable: Executor, prefix_caching: bool) -> None:
    """Cancelled during its prefill, before its logits are checked."""
    expected = greedy(Engine(poisonable), [SHORT[0], LONG[0]], TOKENS)
    engine = Engine(poisonable, budget=16, blocks=16, prefix_caching=prefix_caching)
    add(engine, "bad", [POISON] * 250)
    for _ in range(12):
        engine.step()
    engine.cancel("bad")
    assert engine.used_blocks == 0
    for number, prompt in enumerate([SHORT[0], LONG[0]]):
        add(engine, str(number), prompt)
    engine.finish()
    assert [engine.completion(str(number)).token_ids for number in range(2)] == expected
