"""Reads the weights of Llama-like checkpoints, fused for the native and the torch decoder."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.models.checkpoint import Checkpoint
from llm_api.engine.models.decoder_shapes import check_shapes
from llm_api.engine.models.model_config import ModelConfig

LinearT = TypeVar("LinearT")
HeadT = TypeVar("HeadT")
LinearT_co = TypeVar("LinearT_co", covariant=True)
HeadT_co = TypeVar("HeadT_co", covariant=True)


class Layout(Protocol[LinearT_co, HeadT_co]):
    """Converts weights into a decoder's own layout: `weight` is [out, in], `bias` [out]."""

    def linear(self, weight: Tensor, bias: Tensor | None) -> LinearT_co: ...

    def gate_up(self, weight: Tensor, bias: Tensor | None) -> LinearT_co:
        """`weight` and `bias` hold the gate projection, then the up projection."""
        ...

    def head(self, weight: Tensor) -> HeadT_co: ...

    def plain(self, weight: Tensor) -> Tensor:
        """Converts the weight of an embedding or a norm."""
        ...


@dataclass(frozen=True, slots=True)
class DecoderLayer(Generic[LinearT]):
    input_norm: Tensor  # norms are float32 [hidden]
    qkv: LinearT
    query_norm: Tensor | None  # [head dim]; Qwen3 only
    key_norm: Tensor | None
    output: LinearT
    post_attention_norm: Tensor
    gate_up: LinearT
    down: LinearT
    attention: AttentionOptions


@dataclass(frozen=True, slots=True)
class DecoderWeights(Generic[LinearT, HeadT]):
    embedding: Tensor  # [vocabulary, hidden]
    layers: list[DecoderLayer[LinearT]]
    norm: Tensor
    head: HeadT


def read_decoder(checkpoint: Checkpoint, config: ModelConfig, layout: Layout[LinearT, HeadT]) -> DecoderWeights[LinearT, HeadT]:
    check_shapes(checkpoint, config)
    embedding = checkpoint.get("model.embed_tokens.weight")
    is_tied = config.raw.get("tie_word_embeddings", False) and "lm_head.weight" not in checkpoint
    return DecoderWeights(
        embedding=layout.plain(embedding),
        layers=[_read_layer(checkpoint, config, layer, layout) for layer in range(config.num_layers)],
        norm=layout.plain(checkpoint.get("model.norm.weight", torch.float32)),
        head=layout.head(embedding if is_tied else checkpoint.get("lm_head.weight")),
    )


def _read_layer(checkpoint: Checkpoint, config: ModelConfig, layer: int, layout: Layout[LinearT, HeadT]) -> DecoderLayer[LinearT]:
    at = f"model.layers.{layer}"
    return DecoderLayer(
        input_norm=layout.plain(checkpoint.get(f"{at}.input_layernorm.weight", torch.float32)),
        qkv=layout.linear(*_fused(checkpoint, *(f"{at}.self_attn.{name}_proj" for name in "qkv"))),
        query_norm=_head_norm(checkpoint, f"{at}.self_attn.q_norm.weight", layout),
        key_norm=_head_norm(checkpoint, f"{at}.self_attn.k_norm.weight", layout),
        output=layout.linear(*_fused(checkpoint, f"{at}.self_attn.o_proj")),
        post_attention_norm=layout.plain(checkpoint.get(f"{at}.post_attention_layernorm.weight", torch.float32)),
        gate_up=layout.gate_up(*_fused(checkpoint, f"{at}.mlp.gate_proj", f"{at}.mlp.up_proj")),
        down=layout.linear(*_fused(checkpoint, f"{at}.mlp.down_proj")),
        attention=AttentionOptions(config.head_dim**-0.5, config.sliding_window(layer)),
    )


def _head_norm(checkpoint: Checkpoint, name: str, layout: Layout[LinearT, HeadT]) -> Tensor | None:
    weight = checkpoint.get_optional(name, torch.float32)
    return None if weight is None else layout.plain(weight)


def _fused(checkpoint: Checkpoint, *names: str) -> tuple[Tensor, Tensor | None]:
    """Concatenates projections of the same input into one linear layer."""
    biases = [bias for name in names if (bias := checkpoint.get_optional(f"{name}.bias")) is not None]
    return torch.cat([checkpoint.get(f"{name}.weight") for name in names]), torch.cat(biases) if biases else None
