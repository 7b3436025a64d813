"""How values of a GGUF are laid out otherwise than in transformers. Each function undoes what llama.cpp's converter did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Array = np.ndarray[Any, np.dtype[np.float32]]
Layout = Callable[[Array, "PretrainedConfig"], Array]


@dataclass(frozen=True, slots=True)
class Join:
    """`sources`: GGUF names, with the groups of the parameter's regular expression. `build` gets their values and the groups."""

    sources: tuple[str, ...]
    build: Callable[[Sequence[Array], tuple[str, ...]], Array]


def unpermute_queries(values: Array, config: "PretrainedConfig") -> Array:
    return _unpermute(values, config.num_attention_heads)


def unpermute_keys(values: Array, config: "PretrainedConfig") -> Array:
    return _unpermute(values, config.num_key_value_heads)


def _unpermute(values: Array, heads: int) -> Array:
    """llama.cpp rotates neighbours in a head, transformers its two halves."""
    return values.reshape(heads, -1, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def minus_one(values: Array, config: "PretrainedConfig") -> Array:
    """The model adds 1 to the weights of its norms; the file has the sum."""
    return values - np.float32(1)


def transposed(values: Array, config: "PretrainedConfig") -> Array:
    return values.T


def one_row(values: Array, config: "PretrainedConfig") -> Array:
    return values.reshape(1, -1)


def falcon_groups(values: Array, config: "PretrainedConfig") -> Array:
    """From all queries, keys and values to groups of some queries, their key and their value."""
    heads, groups = config.num_attention_heads, config.num_kv_heads
    size = values.shape[0] // (heads + 2 * groups)
    queries, keys, others = np.split(values, [heads * size, (heads + groups) * size])
    parts = [part.reshape(groups, -1, size, *values.shape[1:]) for part in (queries, keys, others)]
    return np.concatenate(parts, axis=1).reshape(values.shape)


def bloom_heads(values: Array, config: "PretrainedConfig") -> Array:
    """From all queries, keys and values to those of each head."""
    return values.reshape(3, config.n_head, -1, *values.shape[1:]).swapaxes(0, 1).reshape(values.shape)


def _gate_and_up(parts: Sequence[Array], groups: tuple[str, ...]) -> Array:
    return np.concatenate(parts, axis=1)


def _alternate(parts: Sequence[Array], groups: tuple[str, ...]) -> Array:
    """Gate and up in turns along the last axis."""
    return np.stack([_turned(part) for part in parts], axis=-1).reshape(*_turned(parts[0]).shape[:-1], -1)


def _turned(values: Array) -> Array:
    return values.swapaxes(1, 2) if values.ndim == 3 else values


def _only(parts: Sequence[Array], groups: tuple[str, ...]) -> Array:
    return parts[0]


def _only_turned(parts: Sequence[Array], groups: tuple[str, ...]) -> Array:
    return _turned(parts[0])


def _row(parts: Sequence[Array], groups: tuple[str, ...]) -> Array:
    row: Array = parts[0][int(groups[-1])]
    return row


_LAYER = r"model\.layers\.(\d+)\."
EXPERTS = {
    _LAYER + r"mlp\.experts\.gate_up_proj": Join(("blk.{0}.ffn_gate_exps.weight", "blk.{0}.ffn_up_exps.weight"), _gate_and_up),
    _LAYER + r"mlp\.experts\.down_proj": Join(("blk.{0}.ffn_down_exps.weight",), _only),
}
NORM_OF_EACH_HEAD = {
    _LAYER + r"self_attn\.q_layernorm\.norms\.(\d+)\.weight": Join(("blk.{0}.attn_q_norm.weight",), _row),
    _LAYER + r"self_attn\.k_layernorm\.norms\.(\d+)\.weight": Join(("blk.{0}.attn_k_norm.weight",), _row),
}
GPT_OSS = {
    _LAYER + r"self_attn\.sinks": Join(("blk.{0}.attn_sinks.weight",), _only),
    _LAYER + r"mlp\.experts\.gate_up_proj": Join(("blk.{0}.ffn_gate_exps.weight", "blk.{0}.ffn_up_exps.weight"), _alternate),
    _LAYER + r"mlp\.experts\.gate_up_proj_bias": Join(("blk.{0}.ffn_gate_exps.bias", "blk.{0}.ffn_up_exps.bias"), _alternate),
    _LAYER + r"mlp\.experts\.down_proj": Join(("blk.{0}.ffn_down_exps.weight",), _only_turned),
    _LAYER + r"mlp\.experts\.down_proj_bias": Join(("blk.{0}.ffn_down_exps.bias",), _only),
}
