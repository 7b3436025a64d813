"""The native runner computes what transformers computes, with every instruction set, and rows do not depend on other rows."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import structlog
import torch
from engine.checkpoints import NATIVE
from engine.conftest import tiny_executor
from engine.driver import Engine, generate, greedy
from engine.instruction_sets import INSTRUCTIONS
from engine.reference import Reference

from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
from llm_api.engine.messages import AddRequest, SamplingParams
from llm_api.engine.models.native import bindings
from llm_api.engine.models.native.bindings import load_kernels
from llm_api.engine.sequence import Chunk, Sequence

Checkpoint = Callable[[str], Path]
References = Callable[[str], Reference]

PROMPTS = [[(7 * i * (j + 3)) % 297 + 3 for i in range(length)] for j, length in enumerate((1, 5, 16, 17, 40, 61, 150))]


@pytest.fixture(params=INSTRUCTIONS)
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Replaces the best instruction set with each one that this machine supports."""
    name: str = request.param
    if load_kernels(name) is None:
        pytest.skip(f"this CPU has no {name}")
    monkeypatch.setattr("llm_api.engine.models.runner.load_kernels", lambda: load_kernels(name))
    return name


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.usefixtures("instructions")
def test_it_continues_as_transformers_does(checkpoint: Checkpoint, tiny_reference: References, name: str) -> None:
    path = checkpoint(name)
    executor = tiny_executor(path, runner="native")
    assert executor.model.name == "native"
    assert greedy(Engine(executor), PROMPTS, 24) == tiny_reference(name).greedy(PROMPTS, 24)


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.usefixtures("instructions")
def test_logits_equal_transformers_in_float32_and_are_close_in_bfloat16(
    checkpoint: Checkpoint, tiny_reference: References, name: str
) -> None:
    path = checkpoint(name)
    expected = tiny_reference(name).logits(PROMPTS[-1])
    assert difference(tiny_executor(path, runner="native"), expected) < 2e-4
    assert difference(tiny_executor(path, runner="native", dtype="bfloat16"), expected) < 0.03


def difference(executor: Executor, expected: torch.Tensor) -> float:
    """The mean difference of the logits, relative to their standard deviation."""
    return float((logits(executor, PROMPTS[-1]) - expected).abs().mean() / expected.std())


def logits(executor: Executor, token_ids: list[int]) -> torch.Tensor:
    sampling = SamplingParams(max_tokens=1, prompt_logprobs=0)
    sequence = Sequence(AddRequest(request_id="logits", prompt_token_ids=token_ids, sampling=sampling), 0)
    sequence.block_ids = list(range(-(-len(token_ids) // executor.cache.block_size)))
    return executor.run([Chunk(sequence, 0, len(token_ids))])[0].clone()


@pytest.fixture(
    params=[
        ("llama", "none", 1),
        ("llama-uneven", "none", 2),
        ("mistral-sliding", "none", 1),
        ("qwen3", "none", 1),
        ("llama-uneven", "int8", 2),
        ("llama-biased", "int4", 1),
        ("qwen3", "int4", 1),
    ],
    ids=lambda param: " ".join(param[:2]),
)
def bfloat16_executor(checkpoint: Checkpoint, request: pytest.FixtureRequest) -> Executor:
    name, quantization, threads = request.param
    return tiny_executor(
        checkpoint(name), runner="native", quantization=quantization, dtype="bfloat16", num_threads=threads, max_num_seqs=16
    )


def test_bfloat16_logprobs_are_bitwise_equal_however_the_work_is_scheduled(bfloat16_executor: Executor) -> None:
    """Random prompts of many lengths: alone, together, in chunks of any size, preempted, and from the prefix cache."""
    random = Random(5)
    prompts = [[random.randrange(3, 300) for _ in range(random.randrange(1, 150))] for _ in range(12)]
    sampling: dict[str, Any] = {"max_tokens": 12, "temperature": 0, "logprobs": 2, "ignore_eos": True}
    alone = [outcome for prompt in prompts for outcome in run(Engine(bfloat16_executor, prefix_caching=False), [prompt], sampling)]
    assert run(Engine(bfloat16_executor, prefix_caching=False), prompts, sampling) == alone
    cached = Engine(bfloat16_executor)
    assert run(cached, prompts, sampling) == alone
    assert run(cached, prompts, sampling) == alone
    for budget in (16, 23, 31):
        assert run(Engine(bfloat16_executor, prefix_caching=False, budget=budget), prompts, sampling) == alone
    pressed = Engine(bfloat16_executor, blocks=24)
    assert run(pressed, prompts, sampling) == alone
    assert pressed.preemptions > 0


def run(engine: Engine, prompts: list[list[int]], sampling: dict[str, Any]) -> list[tuple[object, ...]]:
    return [(c.token_ids, c.logprobs) for c in generate(engine, prompts, **sampling)]


def test_the_number_of_threads_does_not_change_a_bit(checkpoint: Checkpoint) -> None:
    outcomes = []
    for threads in (1, 2, 3, 5):
        executor = tiny_executor(checkpoint("llama-uneven"), runner="native", dtype="bfloat16", num_threads=threads)
        outcomes.append(logits(executor, PROMPTS[-1]))
    assert all(torch.equal(outcome, outcomes[0]) for outcome in outcomes[1:])


def test_prompt_logprobs_of_more_rows_than_the_kept_buffer_holds(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = tiny_executor(checkpoint("llama"), runner="native")
    whole = logits(executor, PROMPTS[-1])
    monkeypatch.setattr("llm_api.engine.models.native.decoder.LOGITS_BUFFER_LIMIT", 4 * 300 * 10)
    assert torch.equal(logits(executor, PROMPTS[-1]), whole)


def test_without_the_library_the_torch_runner_serves_and_logs_the_reason(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "_path", lambda: None)
    with structlog.testing.capture_logs() as lines:
        executor = tiny_executor(checkpoint("llama"))
    assert executor.model.name == "torch"
    [line] = lines
    assert "built without a C++ compiler" in line["reason"]
    with pytest.raises(EngineError, match=r"RUNNER=native does not work on this machine: .* install g\+\+"):
        tiny_executor(checkpoint("llama"), runner="native")


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("llama-narrow", {}, "the head dimension 12 is not a multiple of 16"),
        ("llama", {"block_size": 24}, "BLOCK_SIZE=24 is not a multiple of 16"),
        ("llama", {"dtype": "float16"}, "it supports bfloat16 and float32, not float16"),
    ],
)
def test_the_torch_runner_serves_models_that_it_does_not_support(
    checkpoint: Checkpoint, name: str, settings: dict[str, object], reason: str
) -> None:
    with structlog.testing.capture_logs() as lines:
        assert tiny_executor(checkpoint(name), **settings).model.name == "torch"
    assert [line["reason"] for line in lines] == [reason]


def test_a_family_without_a_fast_path_is_not_forced_onto_one(checkpoint: Checkpoint) -> None:
    with pytest.raises(EngineError, match="set RUNNER=auto or general"):
        tiny_executor(checkpoint("olmo"), runner="native")
