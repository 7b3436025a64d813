"""Writes a model of transformers as GGUF, as llama.cpp's converter lays out its tensors."""

import re
from pathlib import Path
from typing import Any

import numpy as np
from gguf import MODEL_ARCH_NAMES, TensorNameMap, get_tensor_name_map
from transformers import PreTrainedModel
from weights.tiny_models import Keys, Tensors, vocabulary, write_file

Array = np.ndarray[Any, np.dtype[np.float32]]

ROTATED = {"llama", "granite", "smollm3"}  # rotary pairs are neighbours
PLUS_ONE = {"gemma", "gemma2", "gemma3", "nemotron"}  # the weights of norms are stored with 1 added


def write_model(path: Path, architecture: str, keys: Keys, model: PreTrainedModel, tensors: Tensors) -> Path:
    """`keys` without the architecture's prefix. `tensors`: more of them. The vocabulary is that of the tiny models."""
    tokenizer: Keys = {
        "tokenizer_model": "gpt2",
        "tokenizer_pre": "gpt-2",
        "token_list": vocabulary(),
        "token_merges": ["Ġ Ġ"],
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    own = {f"{architecture}.{key}": value for key, value in keys.items()}
    write_file(path, architecture, tokenizer | own, tensors_of(architecture, model) | tensors)
    return path


def tensors_of(architecture: str, model: PreTrainedModel) -> Tensors:
    kind = next(kind for kind, name in MODEL_ARCH_NAMES.items() if name == architecture)
    names = get_tensor_name_map(kind, model.config.num_hidden_layers)
    tied = (model._tied_weights_keys or {}) if model.config.tie_word_embeddings else {}
    tensors: Tensors = {}
    for name, values in model.state_dict().items():
        if name not in tied:
            tensors |= _stored(architecture, names, name, values.float().numpy(), model.config)
    return {name: np.ascontiguousarray(values) for name, values in tensors.items()}


def _stored(architecture: str, names: TensorNameMap, name: str, values: Array, config: Any) -> Tensors:
    if matched := re.search(r"layers\.(\d+)\.mlp\.experts\.(\w+)", name):
        return _experts(f"blk.{matched[1]}", matched[2], values, gpt_oss=architecture == "gpt-oss")
    if name.endswith(".sinks"):
        return {f"{names.get_name(name.removesuffix('.sinks') + '.sinks')}.weight": values}
    base, _, kind = name.rpartition(".")
    stored = f"{names.get_name(base) or names.get_name(base.partition('.')[2])}.{kind}"
    return {stored: _laid_out(architecture, stored, values, config)}


def _laid_out(architecture: str, stored: str, values: Array, config: Any) -> Array:
    if architecture in ROTATED and re.search(r"attn_[qk]\.", stored):
        return _permuted(values, config.num_attention_heads if ".attn_q." in stored else config.num_key_value_heads)
    if architecture in PLUS_ONE and stored.endswith("norm.weight"):
        return values + 1
    if architecture == "gpt2" and re.search(r"(attn_qkv|attn_output|ffn_up|ffn_down)\.weight", stored):
        return values.T
    if architecture in ("falcon", "bloom") and ".attn_qkv." in stored:
        groups = config.num_kv_heads if architecture == "falcon" else config.n_head
        return _queries_first(values, groups, config.num_attention_heads // groups)
    return values[0] if stored.endswith("ffn_gate_inp_shexp.weight") else values


def _permuted(values: Array, heads: int) -> Array:
    return values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def _queries_first(values: Array, groups: int, queries: int) -> Array:
    """Each group has some queries, a key and a value."""
    grouped = values.reshape(groups, queries + 2, -1, *values.shape[1:])
    parts = (grouped[:, :queries], grouped[:, queries : queries + 1], grouped[:, queries + 1 :])
    return np.concatenate([part.reshape(-1, *values.shape[1:]) for part in parts])


def _experts(block: str, part: str, values: Array, gpt_oss: bool) -> Tensors:
    kind = "bias" if part.endswith("_bias") else "weight"
    turned = values.swapaxes(1, 2) if gpt_oss and kind == "weight" else values
    if part.startswith("down_proj"):
        return {f"{block}.ffn_down_exps.{kind}": turned}
    if gpt_oss:
        return {f"{block}.ffn_gate_exps.{kind}": turned[:, ::2], f"{block}.ffn_up_exps.{kind}": turned[:, 1::2]}
    gate, up = np.split(turned, 2, axis=1)
    return {f"{block}.ffn_gate_exps.{kind}": gate, f"{block}.ffn_up_exps.{kind}": up}
