"""Every family that the engine's own decoders compute has the logprobs and the greedy tokens of transformers, on both runners."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from engine.checkpoints import save_configured
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from engine.fast_families import fast_families
from engine.instruction_sets import INSTRUCTIONS
from engine.reference import Reference
from engine.test_native import PROMPTS, difference, logits, run

from llm_api.engine.models.native.bindings import load_kernels

TOLERANCE = 1e-3  # of a logprob in float32
LONGEST = 192  # tokens: the context up to which the longrope model has its short factors
Saved = Callable[[str], tuple[Path, Reference]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder, made = tmp_path_factory.mktemp("families"), dict[str, tuple[Path, Reference]]()

    def get(name: str) -> tuple[Path, Reference]:
        if name not in made:
            path = save_configured(FAMILIES[name], name, folder / name)
            made[name] = path, Reference(path)
        return made[name]

    return get


FAMILIES = fast_families()


@pytest.mark.parametrize("runner", ["torch", "native"])
@pytest.mark.parametrize("name", FAMILIES)
def test_logprobs_and_greedy_tokens_are_those_of_transformers(saved: Saved, name: str, runner: str) -> None:
    path, reference = saved(name)
    executor = tiny_executor(path, runner=runner, max_model_len=LONGEST)
    assert executor.model.name == runner
    expected = reference.logits(PROMPTS[-1]).log_softmax(-1)
    with torch.inference_mode():
        actual = logits(executor, PROMPTS[-1]).log_softmax(-1)
    assert (actual - expected).abs().max() < TOLERANCE
    assert greedy(Engine(executor), PROMPTS, 16) == reference.greedy(PROMPTS, 16)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("name", FAMILIES)
def test_quantized_weights_stay_close(saved: Saved, name: str, quantization: str) -> None:
    """A part that is computed with wrong weights is off by more than one standard deviation."""
    path, reference = saved(name)
    executor = tiny_executor(path, runner="native", quantization=quantization, max_model_len=LONGEST)
    with torch.inference_mode():
        assert difference(executor, reference.logits(PROMPTS[-1])) < {"int8": 0.06, "int4": 0.5}[quantization]


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("gemma2", "none"),
        ("gemma3", "int8"),
        ("gpt-oss", "none"),
        ("gpt-oss", "int8"),
        ("mixtral", "none"),
        ("olmo3", "none"),
        ("qwen3-moe-some-dense", "int4"),
        ("starcoder2", "none"),
    ],
)
def test_bfloat16_logprobs_are_bitwise_equal_however_the_work_is_scheduled(saved: Saved, name: str, quantization: str) -> None:
    """As the test of this name in test_native.py, for parts that Llama does not have."""
    path, _ = saved(name)
    settings: dict[str, Any] = {"dtype": "bfloat16", "quantization": quantization, "num_threads": 2, "max_model_len": LONGEST}
    executor = tiny_executor(path, runner="native", **settings)
    random = Random(5)
    prompts = [[random.randrange(3, 300) for _ in range(random.randrange(1, 150))] for _ in range(8)]
    sampling: dict[str, Any] = {"max_tokens": 6, "temperature": 0, "logprobs": 2, "ignore_eos": True}
    alone = [outcome for prompt in prompts for outcome in run(Engine(executor, prefix_caching=False), [prompt], sampling)]
    cached = Engine(executor)
    assert run(cached, prompts, sampling) == alone
    assert run(cached, prompts, sampling) == alone
    assert run(Engine(executor, prefix_caching=False, budget=23), prompts, sampling) == alone


@pytest.mark.parametrize("name", ["gemma2", "gpt-oss", "qwen3-moe", "starcoder2"])
@pytest.mark.parametrize("instructions", INSTRUCTIONS)
def test_every_instruction_set_computes_the_parts(saved: Saved, monkeypatch: pytest.MonkeyPatch, name: str, instructions: str) -> None:
    if load_kernels(instructions) is None:
        pytest.skip(f"this CPU has no {instructions}")
    monkeypatch.setattr("llm_api.engine.models.load.load_kernels", lambda: load_kernels(instructions))
    path, reference = saved(name)
    with torch.inference_mode():
        assert difference(tiny_executor(path, runner="native"), reference.logits(PROMPTS[-1])) < 2e-4
