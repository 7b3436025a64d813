"""Every type of quantization converts as the gguf package reads it, or is refused by name before the conversion starts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import dequantize, quantize
from safetensors.torch import load_file
from weights.tiny_models import SPECIAL, vocabulary

from llm_api.weights.conversion_worker import convert_gguf
from llm_api.weights.errors import UnsupportedModel

WIDTH, ROWS, HEADS = 256, 32, 2  # blocks of K types have 256 elements
Kind = GGMLQuantizationType
REFUSED = [Kind.Q1_0, Kind.Q8_1, Kind.Q8_K, Kind.I8, Kind.I16, Kind.I32, Kind.I64, Kind.F64]
READ = [kind for kind in Kind if kind not in REFUSED]


def stored(kind: Kind, rows: int = ROWS) -> np.ndarray[Any, Any]:
    """Rows as they are in a file: quantized numbers where the gguf package writes the type, else random blocks with finite scales."""
    random = np.random.default_rng(kind.value)
    try:
        return quantize(random.standard_normal((rows, WIDTH), dtype=np.float32), kind)
    except NotImplementedError:
        elements, size = GGML_QUANT_SIZES[kind]
        return random.integers(0, 256, (rows, WIDTH // elements * size), dtype=np.uint8) & 0x3B  # no exponent is the highest


def write(path: Path, kinds: list[Kind]) -> Path:
    """A model whose layer N has `ffn_up.weight` in the Nth type."""
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(len(kinds))
    writer.add_feed_forward_length(ROWS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_key_length(16)
    writer.add_value_length(16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary())
    writer.add_token_types([TokenType.CONTROL if token in SPECIAL else TokenType.NORMAL for token in vocabulary()])
    writer.add_tensor("token_embd.weight", np.zeros((len(vocabulary()), WIDTH), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    for layer, kind in enumerate(kinds):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(WIDTH, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "ffn_gate"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.zeros((ROWS, WIDTH), np.float32))
        for name in ("attn_output", "ffn_down"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.zeros((WIDTH, ROWS), np.float32))
        writer.add_tensor(f"blk.{layer}.ffn_up.weight", stored(kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_each_type_converts_as_the_gguf_package_reads_it(tmp_path: Path) -> None:
    convert_gguf(write(tmp_path / "m.gguf", READ), tmp_path / "folder")
    weights = load_file(tmp_path / "folder/model.safetensors")
    for layer, kind in enumerate(READ):
        expected = torch.from_numpy(dequantize(stored(kind), kind)).to(torch.bfloat16)
        assert expected.isfinite().all() and expected.float().std() > 0, kind.name
        assert torch.equal(weights[f"model.layers.{layer}.mlp.up_proj.weight"], expected), kind.name


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_a_type_that_the_gguf_package_cannot_read_is_refused_by_name(tmp_path: Path, kind: Kind) -> None:
    file = write(tmp_path / "m.gguf", [Kind.F32, kind])
    with pytest.raises(UnsupportedModel, match=rf"the type {kind.name} of the tensor blk\.1\.ffn_up\.weight is not supported"):
        convert_gguf(file, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
