"""Every family that the engine's own decoders compute has the logprobs and the greedy tokens of transformers, on both runners."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from engine.checkpoints import randomize, save_random
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from engine.fast_families import fast_families
from engine.instruction_sets import INSTRUCTIONS
from engine.reference import Reference
from engine.test_native import PROMPTS, difference, logits, run
from safetensors.torch import load_file, save_file
from transformers import Gemma3Config, Gemma3ForConditionalGeneration
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from llm_api.engine.models.native.bindings import load_kernels

TOLERANCE = 1e-3  # of a logprob in float32
LONGEST = 192  # tokens: the context up to which the longrope model has its short factors
Saved = Callable[[str], tuple[Path, Reference]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder, made = tmp_path_factory.mktemp("families"), dict[str, tuple[Path, Reference]]()

    def get(name: str) -> tuple[Path, Reference]:
        if name not in made:
            path = save_random(FAMILIES[name], folder / name, sum(name.encode()))
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
    monkeypatch.setattr("llm_api.engine.models.runner.load_kernels", lambda: load_kernels(instructions))
    path, reference = saved(name)
    with torch.inference_mode():
        assert difference(tiny_executor(path, runner="native"), reference.logits(PROMPTS[-1])) < 2e-4


def test_gpt_oss_is_read_from_mxfp4(saved: Saved, tmp_path: Path) -> None:
    """Random blocks against the same weights as transformers unpacks them, in a checkpoint of plain tensors."""
    packed = Path(shutil.copytree(saved("gpt-oss")[0], tmp_path / "packed"))
    plain = Path(shutil.copytree(packed, tmp_path / "plain"))
    tensors = load_file(plain / "model.safetensors")
    blocks: dict[str, torch.Tensor] = {}
    for name in [name for name in tensors if name.endswith("_proj") and ".experts." in name]:
        experts, inputs, outputs = tensors[name].shape
        codes = torch.randint(256, (experts, outputs, inputs // 32, 16), dtype=torch.uint8)
        scales = torch.randint(122, 126, codes.shape[:-1], dtype=torch.uint8)
        blocks |= {f"{name}_blocks": codes, f"{name}_scales": scales}
        tensors[name] = convert_moe_packed_tensors(codes, scales, dtype=torch.float32).contiguous()
    save_file(tensors, plain / "model.safetensors", metadata={"format": "pt"})
    others = {name: tensor for name, tensor in tensors.items() if f"{name}_blocks" not in blocks}
    save_file(others | blocks, packed / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((packed / "config.json").read_text())
    (packed / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "mxfp4"}}))
    expected = Reference(plain).logits(PROMPTS[-1]).log_softmax(-1)
    with torch.inference_mode():
        actual = logits(tiny_executor(packed, runner="native"), PROMPTS[-1]).log_softmax(-1)
    assert (actual - expected).abs().max() < TOLERANCE


def test_the_text_part_of_gemma3_is_served_without_its_part_for_images(tmp_path: Path) -> None:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    text = fast_families()["gemma3"].to_dict()
    torch.manual_seed(11)
    model = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)).eval()
    randomize(model)
    model.save_pretrained(tmp_path)
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([PROMPTS[-1]])).logits[0].float().log_softmax(-1)
        for runner in ("torch", "native"):
            actual = logits(tiny_executor(tmp_path, runner=runner), PROMPTS[-1]).log_softmax(-1)
            assert (actual - expected).abs().max() < TOLERANCE
