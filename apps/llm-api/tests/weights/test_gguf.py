"""Every key and tensor of a GGUF is used, or the file is refused by naming it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import RopeScalingType
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from weights.tiny_models import HEAD_DIM, HEADS, HIDDEN, INNER, KV_HEADS, Tensors, vocabulary, write_gguf

from llm_api.weights.conversion_worker import convert_gguf
from llm_api.weights.errors import UnsupportedModel

LLAMA_3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_scaling_type": RopeScalingType.YARN, "rope_scaling_factor": 4.0, "rope_scaling_orig_ctx_len": 16}
BIASES = {"q": HIDDEN, "k": KV_HEADS * HEAD_DIM, "v": KV_HEADS * HEAD_DIM, "output": HIDDEN}


def converted(tmp_path: Path, **variant: Any) -> Path:
    convert_gguf(write_gguf(tmp_path / "tiny.gguf", **variant), tmp_path / "folder")
    return tmp_path / "folder"


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def llama_3_factors(**changes: float) -> Tensors:
    """As llama.cpp's converter writes them: what each plain frequency is divided by."""
    plain = 10000.0 ** (-np.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    scaled = frequencies({"rope_theta": 10000.0} | LLAMA_3 | changes)
    return {"rope_freqs.weight": (plain / scaled.numpy()).astype(np.float32)}


def frequencies(settings: dict[str, Any]) -> torch.Tensor:
    inverse, _ = ROPE_INIT_FUNCTIONS["llama3"](LlamaConfig(head_dim=HEAD_DIM, rope_parameters=settings), device="cpu")
    return inverse


@pytest.mark.parametrize("changes", [{}, {"factor": 32.0, "original_max_position_embeddings": 8192}, {"factor": 8.0}])
def test_the_rotary_factors_of_llama_3_become_its_settings(tmp_path: Path, changes: dict[str, float]) -> None:
    folder = converted(tmp_path, tensors=llama_3_factors(**changes))
    expected = LLAMA_3 | {"rope_theta": 10000.0} | changes
    assert torch.allclose(frequencies(config_of(folder)["rope_parameters"]), frequencies(expected), rtol=1e-4)


def test_other_rotary_factors_are_refused(tmp_path: Path) -> None:
    factors = np.linspace(1, 3, HEAD_DIM // 2, dtype=np.float32)
    with pytest.raises(UnsupportedModel, match=r"rope_freqs\.weight are not those of Llama 3"):
        converted(tmp_path, tensors={"rope_freqs.weight": factors})


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"rope_scaling_type": RopeScalingType.NONE}, {"rope_type": "default"}),
        ({"rope_scaling_type": RopeScalingType.LINEAR, "rope_scaling_factor": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        (
            {"rope_scaling_type": RopeScalingType.YARN, "rope_scaling_factor": 4.0, "rope_scaling_orig_ctx_len": 16},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
        ),
    ],
)
def test_rotary_scaling_is_kept(tmp_path: Path, keys: dict[str, Any], expected: dict[str, Any]) -> None:
    assert config_of(converted(tmp_path, keys=keys))["rope_parameters"] == {"rope_theta": 10000.0} | expected


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"rope_scaling_type": RopeScalingType.YARN, "rope_scaling_factor": 4.0}, r"llama\.rope\.scaling\.type 'yarn'"),
        ({"rope_scaling_type": RopeScalingType.LONGROPE}, r"llama\.rope\.scaling\.type 'longrope'"),
        (YARN | {"rope_scaling_yarn_log_mul": 0.1}, r"the key llama\.rope\.scaling\.yarn_log_multiplier"),
        (YARN | {"rope_scaling_yarn_attn_factor": 0.5}, r"the key llama\.rope\.scaling\.yarn_attn_factor"),
    ],
)
def test_unknown_rotary_scaling_is_refused(tmp_path: Path, keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=reason):
        converted(tmp_path, keys=keys)


def test_attention_biases_are_kept(tmp_path: Path) -> None:
    tensors = {f"blk.0.attn_{name}.bias": np.full(size, 0.5, np.float32) for name, size in BIASES.items()}
    folder = converted(tmp_path, tensors=tensors)
    weights = load_file(folder / "model.safetensors")
    assert config_of(folder)["attention_bias"] is True
    assert all((weights[f"model.layers.0.self_attn.{name}_proj.bias"] == 0.5).all() for name in "qkvo")


def test_a_bias_without_a_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"blk\.0\.attn_norm\.bias would not be used"):
        converted(tmp_path, tensors={"blk.0.attn_norm.bias": np.ones(HIDDEN, np.float32)})


def test_a_model_without_all_its_tensors_is_refused(tmp_path: Path) -> None:
    tensors = {f"blk.0.attn_{name}.bias": np.ones(BIASES[name], np.float32) for name in "qkv"}
    with pytest.raises(UnsupportedModel, match=r"no tensor for model\.layers\.0\.self_attn\.o_proj\.bias"):
        converted(tmp_path, tensors=tensors)


def test_a_model_of_experts_without_some_of_them_is_refused(tmp_path: Path) -> None:
    experts = {"blk.0.ffn_gate_inp.weight": np.ones((2, HIDDEN), np.float32)} | {
        f"blk.0.ffn_{name}_exps.weight": np.ones((2, INNER, HIDDEN), np.float32) for name in ("gate", "down")
    }
    with pytest.raises(UnsupportedModel, match=r"no tensor for model\.layers\.0\.mlp\.experts\.gate_up_proj"):
        converted(tmp_path, keys={"expert_count": 2, "expert_used_count": 1}, tensors=experts)


@pytest.mark.parametrize(("keys", "expected"), [({}, [2]), ({"eot_token_id": 0}, [0, 2])])
def test_every_token_that_ends_a_turn_ends_the_text(tmp_path: Path, keys: dict[str, int], expected: list[int]) -> None:
    generation = json.loads((converted(tmp_path, keys=keys) / "generation_config.json").read_text())
    assert generation["eos_token_id"] == expected


@pytest.mark.parametrize(
    ("pre", "text", "expected"),
    [
        ("gpt-2", "a12  b", ["a", "1", "2", "Ġ", "Ġ", "b"]),
        ("smollm", "a12  b", ["a", "1", "2", "Ġ", "Ġ", "b"]),
        ("llama-bpe", " hukuK", ["ĠhukuK"]),  # a word that no merges lead to
        ("qwen2", " hukuK", ["Ġ", "h", "u", "k", "u", "K"]),
        ("tekken", " hukuK", ["Ġ", "h", "u", "k", "u", "K"]),  # two words for this rule
        ("gpt-4o", "ab", ["a", "b"]),
    ],
)
def test_text_is_split_by_the_rule_that_the_file_names(tmp_path: Path, pre: str, text: str, expected: list[str]) -> None:
    folder = converted(tmp_path, pre=pre, words="ĠhukuK")
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).tokens == expected


def test_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"pre-tokenizer 'nonesuch' \(tokenizer\.ggml\.pre\)"):
        converted(tmp_path, pre="nonesuch")


def test_heads_of_the_file_are_those_of_the_config(tmp_path: Path) -> None:
    config = config_of(converted(tmp_path))
    assert (config["num_attention_heads"], config["num_key_value_heads"], config["intermediate_size"]) == (HEADS, KV_HEADS, INNER)


DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")


@pytest.mark.parametrize(("adds_bos", "beginning"), [({"add_bos_token": True}, [0]), ({"add_bos_token": False}, []), ({}, [])])
def test_control_tokens_outside_the_byte_alphabet_keep_their_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adds_bos: dict[str, bool], beginning: list[int]
) -> None:
    monkeypatch.setattr("weights.tiny_models.SPECIAL", DEEPSEEK)
    folder = converted(tmp_path, pre="deepseek-r1-qwen", keys=adds_bos, bos=0, eos=1)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("<｜User｜>a<｜Assistant｜>").ids == [*beginning, 2, vocabulary().index("a"), 3]
    assert tokenizer.get_vocab_size() == len(vocabulary())
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    assert (settings["bos_token"], settings["eos_token"]) == DEEPSEEK[:2]


def test_a_llama_3_file_that_says_nothing_about_it_begins_with_bos(tmp_path: Path) -> None:
    folder = converted(tmp_path, pre="llama-bpe")
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode("a").ids == [1, vocabulary().index("a")]


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"tokenizer.ggml.suppress_tokens": [3]}, r"the key tokenizer\.ggml\.suppress_tokens is not supported"),
        ({"llama.pooling_type": 1}, r"the key llama\.pooling_type is not supported"),
        ({"adapter.type": "lora"}, r"the key adapter\.type is not supported"),
        ({"general.type": "mmproj"}, r"the file is no model: its general\.type is 'mmproj'"),
        ({"split.count": 3}, r"the file is one of 3 \(split\.count\)"),
        ({"embedding_length": None}, r"the file has no key llama\.embedding_length"),
    ],
)
def test_a_key_that_nothing_reads_is_refused_by_name(tmp_path: Path, keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=reason):
        converted(tmp_path, keys=keys)


def test_keys_without_effect_are_accepted(tmp_path: Path) -> None:
    keys = {
        "general.license": "apache-2.0",
        "quantize.imatrix.file": "imatrix.dat",
        "mradermacher.quantize_version": "2",
        "tokenizer.chat_template.tool_use": "{{ tools }}",
        "tokenizer.ggml.fim_pre_token_id": 3,
        "llama.rope.scaling.yarn_ext_factor": 1.0,
        "llama.leading_dense_block_count": 0,
        "split.count": 1,
    }
    assert (converted(tmp_path, keys=keys) / "config.json").is_file()
