"""Quantized weights: each matmul and the whole model, against torch in float32 with the dequantized weights.

The expected results round the input of a matmul to 8 bits as the library does. Only the order of float32 sums differs.
"""

import json
import shutil
from collections.abc import Callable
from ctypes import byref
from pathlib import Path
from random import Random

import pytest
import torch
from engine.checkpoints import NATIVE
from engine.conftest import tiny_executor
from engine.driver import Engine, generate
from engine.instruction_sets import INSTRUCTIONS
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AutoModelForCausalLM

from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
from llm_api.engine.models.native import bindings
from llm_api.engine.models.native.bindings import Kernels, load_kernels
from llm_api.engine.models.native.layout import DTYPES, HEAD_FORMATS, NativeLayout
from llm_api.engine.models.native.quantize import BITS, GROUP, quantize

Checkpoint = Callable[[str], Path]
PROMPT = [(7 * i * 5) % 297 + 3 for i in range(150)]
SHAPES = [(1, 1, 1), (3, 32, 32), (7, 64, 576), (16, 33, 31), (6, 100, 90), (12, 31, 33), (5, 96, 100)]


@pytest.fixture(params=INSTRUCTIONS)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    found = load_kernels(request.param)
    if found is None:
        pytest.skip(f"this CPU has no {request.param}")
    return found


def rounded_to_8_bits(x: Tensor) -> Tensor:
    """Each group of 32 in the last dimension, as quantized.h rounds it."""
    width = x.shape[-1]
    groups = pad(x.float(), (0, -width % GROUP)).unflatten(-1, (-1, GROUP))
    highest = groups.abs().amax(-1, keepdim=True)
    factor = torch.where(highest > 0, 127 / highest, 0)
    rounded: Tensor = (groups * factor).round() * (highest / 127)
    return rounded.flatten(-2)[..., :width]


def inputs_off_the_ties(rows: int, width: int) -> Tensor:
    """Values that every instruction set rounds to the expected code: not close to the middle between two codes."""
    codes = torch.randint(-60, 60, (rows, -(-width // GROUP), GROUP)) + 0.1 * torch.rand(1) - 0.05
    codes[..., 0] = 127
    return (codes * torch.rand(codes.shape[:2])[..., None]).flatten(1)[:, :width].contiguous()


def multiply(kernels: Kernels, layout: NativeLayout, weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    packed = layout.linear(weight, bias)
    y = torch.full((len(x), len(weight)), torch.nan)
    kernels.matmul(DTYPES[x.dtype], byref(packed.struct), x.data_ptr(), len(x), y.data_ptr())
    return y


def random_shapes() -> list[tuple[int, int, int]]:
    random = Random(3)
    return SHAPES + [(random.randrange(1, 20), random.randrange(1, 200), random.randrange(1, 300)) for _ in range(25)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_products_of_any_shape_equal_those_of_the_dequantized_weights(kernels: Kernels, quantization: str, dtype: torch.dtype) -> None:
    torch.manual_seed(7)
    layout = NativeLayout(kernels, quantization)
    for rows, outputs, inputs in random_shapes():
        weight, x = torch.randn(outputs, inputs).to(dtype), inputs_off_the_ties(rows, inputs).to(dtype)
        bias = torch.randn(outputs).to(dtype) if outputs % 2 else None
        restored = quantize(weight, BITS[quantization]).dequantized()
        expected = rounded_to_8_bits(x) @ restored.T + (0 if bias is None else bias.float())
        torch.testing.assert_close(multiply(kernels, layout, weight, bias, x), expected, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_a_row_of_a_product_is_bitwise_equal_for_any_other_rows(kernels: Kernels, quantization: str) -> None:
    torch.manual_seed(8)
    layout, weight = NativeLayout(kernels, quantization), torch.randn(100, 150).bfloat16()
    x = torch.randn(17, 150).bfloat16()
    alone = torch.cat([multiply(kernels, layout, weight, None, row[None]) for row in x])
    for rows in range(1, 18):
        assert torch.equal(multiply(kernels, layout, weight, None, x[:rows]), alone[:rows])


def test_extreme_inputs_keep_to_their_group_and_row(kernels: Kernels) -> None:
    weight = torch.randn(40, 96)
    x = torch.randn(6, 96)
    x[0, 3], x[1, 40], x[2, :32], x[3, 0], x[4, 5] = torch.nan, torch.inf, 0, 1e-42, 3e38
    y = multiply(kernels, NativeLayout(kernels, "int8"), weight, None, x)
    assert not y[:2].isfinite().any(), "a non-finite value became finite"
    assert y[2:4].isfinite().all()
    expected = rounded_to_8_bits(x[2:4]) @ quantize(weight, 8).dequantized().T
    torch.testing.assert_close(y[2:4], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_weight_is_off_by_half_a_step_at_most(bits: int) -> None:
    torch.manual_seed(9)
    weight = torch.randn(64, 100) * torch.logspace(-3, 2, 64)[:, None]
    quantized = quantize(weight, bits)
    groups = pad(weight[None], (0, 28), mode="replicate")[0].unflatten(1, (-1, GROUP))
    plain = (groups.amax(-1) - groups.amin(-1)) / (2**bits - 1)
    error = (quantized.dequantized() - weight).square()
    mean = pad(error, (0, 28)).unflatten(1, (-1, GROUP)).sum(-1) / torch.tensor([32, 32, 32, 4])
    assert (mean.sqrt() < 0.55 * plain).all()
    assert mean.sqrt().mean() < 0.3 * plain.mean()


def test_dequantized_4_bit_weights_are_quantized_without_further_error() -> None:
    torch.manual_seed(10)
    source = quantize(torch.randn(64, 128), 4).dequantized()
    assert torch.allclose(quantize(source, 4).dequantized(), source, atol=2e-3)
    assert torch.equal(quantize(torch.full((3, 40), 0.5), 4).dequantized(), torch.full((3, 40), 0.5))


def test_a_nan_weight_makes_its_group_non_finite() -> None:
    weight = torch.randn(3, 64)
    weight[1, 40] = torch.nan
    restored = quantize(weight, 4).dequantized()
    assert not restored[1, 32:].isfinite().any()
    assert restored[[0, 2]].isfinite().all()


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("name", NATIVE)
def test_a_model_equals_transformers_with_the_dequantized_weights(
    checkpoint: Checkpoint, tmp_path: Path, name: str, quantization: str
) -> None:
    path = checkpoint(name)
    expected = logits_of_transformers(restored(path, tmp_path / "restored", quantization))
    got = prompt_logits(tiny_executor(path, runner="native", quantization=quantization))
    errors = (got - expected).abs().mean(-1) / expected.std()
    # A value close to the middle between two codes may be rounded to the other one, which changes all later results.
    assert errors.min() < 1e-5
    assert errors.mean() < 0.02


def restored(path: Path, folder: Path, quantization: str) -> Path:
    """The checkpoint with dequantized linear layers. The embedding is unchanged, so a tied head becomes a separate tensor."""
    shutil.copytree(path, folder)
    tensors = load_file(path / "model.safetensors")
    head = tensors.get("lm_head.weight", tensors["model.embed_tokens.weight"])
    for tensor in [tensor for tensor in tensors if tensor.endswith("_proj.weight")]:
        tensors[tensor] = quantize(tensors[tensor], BITS[quantization]).dequantized()
    tensors["lm_head.weight"] = quantize(head, BITS[HEAD_FORMATS[quantization]]).dequantized()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}))
    return folder


@torch.inference_mode()
def logits_of_transformers(path: Path) -> Tensor:
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, local_files_only=True).eval()
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_pre_hook(lambda _, inputs: (rounded_to_8_bits(inputs[0]),))
    logits: Tensor = model(input_ids=torch.tensor([PROMPT]), use_cache=False).logits[0]
    return logits.log_softmax(-1)


def prompt_logits(executor: Executor) -> Tensor:
    """Logprobs of the whole vocabulary at each position, computed by the engine in chunks."""
    size = executor.model_config.vocab_size
    [completion] = generate(Engine(executor, prefix_caching=False), [PROMPT], max_tokens=1, prompt_logprobs=size, logprobs=size)
    assert completion.prompt_logprobs is not None
    rows = [*completion.prompt_logprobs[1:], completion.logprobs[0]]
    logits = torch.empty(len(rows), size)
    for row, logprobs in zip(logits, rows, strict=True):
        assert logprobs is not None
        row[[token for token, _ in logprobs.top]] = torch.tensor([logprob for _, logprob in logprobs.top])
    return logits


@pytest.mark.parametrize(
    ("name", "settings", "reason"),
    [
        ("llama", {"runner": "torch"}, "RUNNER is torch"),
        ("llama", {"runner": "general"}, "RUNNER=general runs llama on the general runner"),
        ("olmo", {}, "RUNNER=auto runs olmo on the general runner"),
        ("llama", {"block_size": 24}, "it does not work on this machine: BLOCK_SIZE=24 is not a multiple of 16"),
    ],
)
def test_other_runners_reject_the_setting(checkpoint: Checkpoint, name: str, settings: dict[str, object], reason: str) -> None:
    with pytest.raises(EngineError) as refused:
        tiny_executor(checkpoint(name), quantization="int4", **settings)
    assert str(refused.value) == f"QUANTIZATION=int4 requires the native runner, but {reason}: set QUANTIZATION=none"


def test_without_the_library_the_setting_is_refused(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bindings, "_path", lambda: None)
    with pytest.raises(EngineError, match="QUANTIZATION=int8 requires the native runner, .* set QUANTIZATION=none"):
        tiny_executor(checkpoint("llama"), quantization="int8")
