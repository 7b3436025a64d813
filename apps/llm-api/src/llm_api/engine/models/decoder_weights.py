"""The weights of Llama-like checkpoints, fused for the fast paths."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.errors import EngineError
from llm_api.engine.models.checkpoint import Checkpoint
from llm_api.engine.models.model_config import ModelConfig

Product = TypeVar("Product")
Head = TypeVar("Head")
Product_co = TypeVar("Product_co", covariant=True)
Head_co = TypeVar("Head_co", covariant=True)


class Layout(Protocol[Product_co, Head_co]):
    """How a path keeps the weights of its matrix products: `weight` is [out, in], `bias` [out]."""

    def linear(self, weight: Tensor, bias: Tensor | None) -> Product_co: ...

    def gate_up(self, weight: Tensor, bias: Tensor | None) -> Product_co:
        """All gates, then as many ups."""
        ...

    def head(self, weight: Tensor) -> Head_co: ...

    def plain(self, weight: Tensor) -> Tensor:
        """An embedding or a norm, which is in no product."""
        ...


@dataclass(frozen=True, slots=True)
class DecoderLayer(Generic[Product]):
    input_norm: Tensor  # norms are float32 [hidden]
    qkv: Product
    query_norm: Tensor | None  # [head dim], Qwen3's
    key_norm: Tensor | None
    output: Product
    post_attention_norm: Tensor
    gate_up: Product
    down: Product
    attention: AttentionOptions


@dataclass(frozen=True, slots=True)
class DecoderWeights(Generic[Product, Head]):
    embedding: Tensor  # [vocabulary, hidden]
    layers: list[DecoderLayer[Product]]
    norm: Tensor
    head: Head


def read_decoder(checkpoint: Checkpoint, config: ModelConfig, layout: Layout[Product, Head]) -> DecoderWeights[Product, Head]:
    embedding = checkpoint.get("model.embed_tokens.weight")
    if embedding.shape != (config.vocab_size, config.hidden_size):
        raise EngineError(f"model.embed_tokens.weight is {tuple(embedding.shape)}: not what config.json says of vocabulary and hidden size")
    shares = config.raw.get("tie_word_embeddings", False) and "lm_head.weight" not in checkpoint
    return DecoderWeights(
        embedding=layout.plain(embedding),
        layers=[_read_layer(checkpoint, config, layer, layout) for layer in range(config.num_layers)],
        norm=layout.plain(checkpoint.get("model.norm.weight", torch.float32)),
        head=layout.head(embedding if shares else checkpoint.get("lm_head.weight")),
    )


def _read_layer(checkpoint: Checkpoint, config: ModelConfig, layer: int, layout: Layout[Product, Head]) -> DecoderLayer[Product]:
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


def _head_norm(checkpoint: Checkpoint, name: str, layout: Layout[Product, Head]) -> Tensor | None:
    weight = checkpoint.maybe(name, torch.float32)
    return None if weight is None else layout.plain(weight)


def _fused(checkpoint: Checkpoint, *names: str) -> tuple[Tensor, Tensor | None]:
    """One product for several projections of the same input."""
    biases = [bias for name in names if (bias := checkpoint.maybe(f"{name}.bias")) is not None]
    return torch.cat([checkpoint.get(f"{name}.weight") for name in names]), torch.cat(biases) if biases else None
