"""Reads the weights of a checkpoint into the parts that its family declares, fused for the native and the torch decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.models.checkpoint import Checkpoint
from llm_api.engine.models.decoder_shapes import check_shapes, head_name, prefix_of
from llm_api.engine.models.families import parts
from llm_api.engine.models.families.sources import Source
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.rope import RotaryEmbedding, half_rotated_order

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

    def router(self, weight: Tensor, bias: Tensor | None) -> LinearT_co:
        """Never quantized: a small error of a score can choose another expert."""
        ...

    def head(self, weight: Tensor) -> HeadT_co: ...

    def plain(self, weight: Tensor) -> Tensor:
        """Converts the weight of an embedding or a norm."""
        ...


@dataclass(frozen=True, slots=True)
class Norm:
    weight: Tensor  # float32 [size]
    bias: Tensor | None  # of a LayerNorm; an RMSNorm has none


@dataclass(frozen=True, slots=True)
class Branch:
    """The norms of a branch's input and output. None: there is none."""

    before: Norm | None
    after: Norm | None


@dataclass(frozen=True, slots=True)
class Attention(Generic[LinearT]):
    qkv: LinearT
    output: LinearT
    query_norm: Tensor | None  # float32 [head dim] or [heads * head dim]
    key_norm: Tensor | None
    rope: int | None  # index into DecoderWeights.ropes
    options: AttentionOptions


@dataclass(frozen=True, slots=True)
class Mlp(Generic[LinearT]):
    up: LinearT  # with the gates, if the activation is gated
    down: LinearT


@dataclass(frozen=True, slots=True)
class Experts(Generic[LinearT]):
    router: LinearT
    experts: list[Mlp[LinearT]]
    top_k: int
    is_normalized: bool


@dataclass(frozen=True, slots=True)
class DecoderLayer(Generic[LinearT]):
    attention_norms: Branch
    attention: Attention[LinearT]
    feed_forward_norms: Branch
    feed_forward: Mlp[LinearT] | Experts[LinearT]


@dataclass(frozen=True, slots=True)
class DecoderWeights(Generic[LinearT, HeadT]):
    parts: parts.DecoderParts
    embedding: Tensor  # [vocabulary, hidden]
    layers: list[DecoderLayer[LinearT]]
    ropes: list[RotaryEmbedding]
    norm: Norm  # includes the scale of the logits
    head: HeadT

    @property
    def embedding_scale(self) -> float:
        scale = self.parts.embedding_scale
        return torch.tensor(scale, dtype=self.embedding.dtype).item() if self.parts.is_embedding_scale_rounded else scale


def read_decoder(
    checkpoint: Checkpoint, config: ModelConfig, layout: Layout[LinearT, HeadT], max_positions: int
) -> DecoderWeights[LinearT, HeadT]:
    """Raises EngineError for a checkpoint that does not belong to config.json."""
    check_shapes(checkpoint, config)
    return _Reader(checkpoint, config, layout).read(max_positions)


class _Reader(Generic[LinearT, HeadT]):
    def __init__(self, checkpoint: Checkpoint, config: ModelConfig, layout: Layout[LinearT, HeadT]) -> None:
        self._checkpoint, self._config, self._layout = checkpoint, config, layout
        self._parts, self._prefix = config.parts(), prefix_of(checkpoint)
        self._device = checkpoint.device

    def get(self, name: str) -> Tensor:
        return self._checkpoint.get(self._prefix + name)

    def get_part(self, name: str, index: int, dtype: torch.dtype | None = None) -> Tensor:
        return self._checkpoint.get_part(self._prefix + name, index, dtype)

    def read(self, max_positions: int) -> DecoderWeights[LinearT, HeadT]:
        parts, config = self._parts, self._config
        embedding, head = self.get(parts.embedding), head_name(parts, self._prefix)
        is_tied = parts.is_tied and head not in self._checkpoint
        ropes = [RotaryEmbedding(rope.parameters, config.head_dim, max_positions, self._device, rope.rotary_dim) for rope in parts.ropes]
        return DecoderWeights(
            parts=parts,
            embedding=self._layout.plain(embedding),
            layers=[self._layer(layer) for layer in parts.layers],
            ropes=ropes,
            norm=self._norm(parts.norm, parts.logits_scale),
            head=self._layout.head(embedding if is_tied else self._checkpoint.get(head)),
        )

    def _layer(self, layer: parts.Layer) -> DecoderLayer[LinearT]:
        return DecoderLayer(
            attention_norms=self._branch(layer.attention_norms),
            attention=self._attention(layer.attention),
            feed_forward_norms=self._branch(layer.feed_forward_norms),
            feed_forward=self._feed_forward(layer.feed_forward),
        )

    def _branch(self, norms: parts.Norms) -> Branch:
        before, after = (None if norm is None else self._norm(norm) for norm in (norms.before, norms.after))
        return Branch(before, after)

    def _norm(self, norm: parts.Norm, scale: float = 1.0) -> Norm:
        weight = self._norm_weight(norm)
        has_bias = norm.kind is parts.NormKind.LAYER
        bias = self._checkpoint.get(f"{self._prefix}{norm.name}.bias", torch.float32) if has_bias else None
        return Norm(self._layout.plain(weight * scale), None if bias is None else self._layout.plain(bias * scale))

    def _norm_weight(self, norm: parts.Norm) -> Tensor:
        weight = self._checkpoint.get(f"{self._prefix}{norm.name}.weight", torch.float32)
        return weight + 1 if norm.kind is parts.NormKind.RMS_PLUS_ONE else weight

    def _attention(self, attention: parts.Attention) -> Attention[LinearT]:
        order = self._order(attention.rope)
        weight, bias = self._fused(attention.qkv)
        sinks = None if attention.sinks is None else self._layout.plain(self._checkpoint.get(self._prefix + attention.sinks, torch.float32))
        return Attention(
            qkv=self._layout.linear(self._reordered(weight, order), None if bias is None else self._reordered(bias, order)),
            output=self._layout.linear(*attention.output.read(self)),
            query_norm=self._head_norm(attention.query_norm, order),
            key_norm=self._head_norm(attention.key_norm, order),
            rope=attention.rope,
            options=AttentionOptions(attention.scale, attention.window, attention.softcap, sinks),
        )

    def _order(self, rope: int | None) -> Tensor | None:
        """The order of a head's dimensions that the decoders rotate. None: that of the checkpoint."""
        if rope is None:
            return None
        used, dim = self._parts.ropes[rope], self._config.head_dim
        order = half_rotated_order(dim, used.rotary_dim, is_interleaved=used.is_interleaved)
        return None if order == list(range(dim)) else torch.tensor(order, device=self._device)

    def _reordered(self, qkv: Tensor, order: Tensor | None) -> Tensor:
        """Queries and keys, each head in this order; values as they are."""
        if order is None:
            return qkv
        rotated = (self._config.num_heads + self._config.num_kv_heads) * self._config.head_dim
        return torch.cat((_in_order(qkv[:rotated], order), qkv[rotated:]))

    def _head_norm(self, norm: parts.Norm | None, order: Tensor | None) -> Tensor | None:
        if norm is None:
            return None
        weight = self._norm_weight(norm)
        return self._layout.plain(weight if order is None else _in_order(weight, order))

    def _feed_forward(self, part: parts.Mlp | parts.Experts) -> Mlp[LinearT] | Experts[LinearT]:
        if isinstance(part, parts.Mlp):
            return self._mlp(part)
        return Experts(
            self._layout.router(*part.router.read(self)), [self._mlp(mlp) for mlp in part.experts], part.top_k, part.is_normalized
        )

    def _mlp(self, mlp: parts.Mlp) -> Mlp[LinearT]:
        pack = self._layout.gate_up if self._parts.activation.is_gated else self._layout.linear
        return Mlp(pack(*self._fused(mlp.up)), self._layout.linear(*mlp.down.read(self)))

    def _fused(self, sources: Sequence[Source]) -> tuple[Tensor, Tensor | None]:
        """Concatenates projections of the same input into one linear layer."""
        weights, biases = zip(*(source.read(self) for source in sources), strict=True)
        has_bias = biases[0] is not None
        return torch.cat(weights), torch.cat(biases) if has_bias else None


def _in_order(heads: Tensor, order: Tensor) -> Tensor:
    """Arranges the outputs of each head: [heads * head dim, ...] to the same."""
    return heads.unflatten(0, (-1, len(order))).index_select(1, order).flatten(0, 1)
