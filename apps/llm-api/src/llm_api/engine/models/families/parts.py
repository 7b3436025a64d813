"""The parts of which a family declares its decoder.

The decoders, the weight reader and the check of shapes know these parts and no family.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from llm_api.engine.models.families.sources import Linear, Shape, Source


class NormKind(Enum):
    RMS = "rms"  # x / rms(x) * weight
    RMS_PLUS_ONE = "rms + 1"  # x / rms(x) * (1 + weight), as Gemma stores it
    LAYER = "layer"  # (x - mean(x)) / std(x) * weight + bias


class ActivationKind(Enum):
    SILU = "silu"
    GELU = "gelu"
    GELU_TANH = "gelu_tanh"
    CLAMPED_SWIGLU = "clamped_swiglu"  # min(gate, limit) * sigmoid(alpha * gate) * (clamp(up, limit) + 1)


@dataclass(frozen=True, slots=True)
class Activation:
    """`alpha` and `limit` are those of CLAMPED_SWIGLU. Without a gate, the activation takes the place of the product with one."""

    kind: ActivationKind = ActivationKind.SILU
    is_gated: bool = True
    alpha: float = 1.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Norm:
    name: str  # of the module; its tensors are `name`.weight and for NormKind.LAYER `name`.bias
    size: int
    kind: NormKind = NormKind.RMS

    def shapes(self) -> dict[str, Shape]:
        names = ("weight", "bias") if self.kind is NormKind.LAYER else ("weight",)
        return {f"{self.name}.{name}": (self.size,) for name in names}


@dataclass(frozen=True, slots=True)
class Norms:
    """The norms of a branch: of its input, and of its output before it is added to the residual stream. None: there is no such norm."""

    before: Norm | None
    after: Norm | None = None


@dataclass(frozen=True, slots=True)
class Rope:
    """`rotary_dim` dimensions of a head are rotated, the others pass. `is_interleaved`: neighbours are pairs, not the two halves."""

    parameters: dict[str, Any]  # in the format of transformers 5
    rotary_dim: int
    is_interleaved: bool = False


@dataclass(frozen=True, slots=True)
class Attention:
    """`qkv` are concatenated: queries, then keys, then values. The norms of queries and keys have the size of a head or of all heads."""

    qkv: tuple[Source, ...]
    output: Source
    scale: float
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    rope: int | None = 0  # index into DecoderParts.ropes; None: positions change nothing
    window: int | None = None  # tokens that a row attends to, itself included; None: all
    softcap: float | None = None
    sinks: str | None = None  # a tensor [heads]

    def shapes(self, num_heads: int) -> Iterator[dict[str, Shape]]:
        yield from (source.shapes() for source in (*self.qkv, self.output))
        yield from (norm.shapes() for norm in (self.query_norm, self.key_norm) if norm)
        if self.sinks:
            yield {self.sinks: (num_heads,)}


@dataclass(frozen=True, slots=True)
class Mlp:
    """`up` are concatenated: the gates, if there are any, then the values that they multiply."""

    up: tuple[Source, ...]
    down: Source

    @property
    def inner(self) -> int:
        """The inputs of `down`."""
        return self.down.inputs

    def shapes(self) -> Iterator[dict[str, Shape]]:
        yield from (source.shapes() for source in (*self.up, self.down))


@dataclass(frozen=True, slots=True)
class Experts:
    """A row goes through the `top_k` experts with the highest router scores.

    Their outputs are weighted by the softmax of the scores: over the chosen experts if `is_normalized`, else over all.
    """

    router: Linear
    experts: tuple[Mlp, ...]
    top_k: int
    is_normalized: bool

    def shapes(self) -> Iterator[dict[str, Shape]]:
        yield self.router.shapes()
        for expert in self.experts:
            yield from expert.shapes()


@dataclass(frozen=True, slots=True)
class Layer:
    attention_norms: Norms
    attention: Attention
    feed_forward_norms: Norms
    feed_forward: Mlp | Experts


@dataclass(frozen=True, slots=True)
class DecoderParts:
    """A whole decoder. All names are relative to the checkpoint's prefix (`prefix_of` in registry.py)."""

    embedding: str
    norm: Norm
    head: str
    is_tied: bool  # the head is the embedding, unless the checkpoint has a head
    layers: tuple[Layer, ...]
    ropes: tuple[Rope, ...]
    eps: float
    activation: Activation = field(default_factory=Activation)
    embedding_scale: float = 1.0
    is_embedding_scale_rounded: bool = False  # to the model's dtype, as Gemma was trained
    residual_scale: float = 1.0  # multiplies what a branch adds to the residual stream
    logits_scale: float = 1.0
    logits_softcap: float | None = None
