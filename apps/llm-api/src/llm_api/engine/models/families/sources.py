"""Where a checkpoint keeps the weights of a linear layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # at run time this module needs no torch
    import torch
    from torch import Tensor

Shape = tuple[int, ...]


class Tensors(Protocol):
    """A checkpoint, as sources read it."""

    def get(self, name: str) -> "Tensor": ...

    def get_part(self, name: str, index: int, dtype: "torch.dtype | None" = None) -> "Tensor":
        """The tensor's `index`-th element of its first dimension, by default in the model's dtype. The others are not read."""
        ...


class Source(Protocol):
    @property
    def inputs(self) -> int: ...

    def shapes(self) -> dict[str, Shape]:
        """The tensors of the checkpoint, by name."""
        ...

    def read(self, tensors: Tensors) -> "tuple[Tensor, Tensor | None]":
        """Weight [out, in] and bias [out]."""
        ...


@dataclass(frozen=True, slots=True)
class Linear:
    """A module of torch: `name`.weight [out, in] and, if it `has_bias`, `name`.bias."""

    name: str
    outputs: int
    inputs: int
    has_bias: bool = False

    def shapes(self) -> dict[str, Shape]:
        weight: dict[str, Shape] = {f"{self.name}.weight": (self.outputs, self.inputs)}
        return weight | {f"{self.name}.bias": (self.outputs,)} if self.has_bias else weight

    def read(self, tensors: Tensors) -> "tuple[Tensor, Tensor | None]":
        return tensors.get(f"{self.name}.weight"), tensors.get(f"{self.name}.bias") if self.has_bias else None


@dataclass(frozen=True, slots=True)
class StackedExpert:
    """One of `count` experts in tensors of all: `name` [experts, in, out] and `name`_bias [experts, out].

    `order` arranges the outputs, for the weight and the bias alike: [out, ...] to [out, ...].
    """

    name: str
    expert: int
    count: int
    outputs: int
    inputs: int
    order: "Callable[[Tensor], Tensor]"

    def shapes(self) -> dict[str, Shape]:
        return {self.name: (self.count, self.inputs, self.outputs), f"{self.name}_bias": (self.count, self.outputs)}

    def read(self, tensors: Tensors) -> "tuple[Tensor, Tensor | None]":
        weight, bias = tensors.get_part(self.name, self.expert), tensors.get_part(f"{self.name}_bias", self.expert)
        return self.order(weight.t()), self.order(bias)


FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # the values of three bits; a fourth bit is the sign
FP4_GROUP = 32  # weights that share an exponent


@dataclass(frozen=True, slots=True)
class Mxfp4Expert(StackedExpert):
    """In 4 bits: `name`_blocks [experts, out, in / 32, 16] has two weights a byte, `name`_scales their exponents.

    https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
    """

    def shapes(self) -> dict[str, Shape]:
        scales = (self.count, self.outputs, self.inputs // FP4_GROUP)
        bias = (self.count, self.outputs)
        return {f"{self.name}_blocks": (*scales, FP4_GROUP // 2), f"{self.name}_scales": scales, f"{self.name}_bias": bias}

    def read(self, tensors: Tensors) -> "tuple[Tensor, Tensor | None]":
        import torch

        blocks = tensors.get_part(f"{self.name}_blocks", self.expert, torch.uint8)
        scales = tensors.get_part(f"{self.name}_scales", self.expert, torch.uint8)
        bias = tensors.get_part(f"{self.name}_bias", self.expert)
        values = torch.tensor(FP4 + tuple(-value for value in FP4), device=blocks.device)
        pairs = torch.stack((values[(blocks & 15).int()], values[(blocks >> 4).int()]), -1)
        weight = torch.ldexp(pairs.flatten(-2), scales.int().unsqueeze(-1) - 127).flatten(1)
        return self.order(weight.to(bias.dtype)), self.order(bias)
