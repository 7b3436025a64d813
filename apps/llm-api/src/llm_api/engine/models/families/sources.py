"""Where a checkpoint keeps the weights of a linear layer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

Shape = tuple[int, ...]


class Tensors(Protocol):
    """A checkpoint, as sources read it."""

    def get(self, name: str) -> Tensor: ...

    def get_part(self, name: str, index: int) -> Tensor:
        """The tensor's `index`-th element of its first dimension. The others are not read."""
        ...


class Source(Protocol):
    @property
    def inputs(self) -> int: ...

    def shapes(self) -> dict[str, Shape]:
        """The tensors of the checkpoint, by name."""
        ...

    def read(self, tensors: Tensors) -> tuple[Tensor, Tensor | None]:
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

    def read(self, tensors: Tensors) -> tuple[Tensor, Tensor | None]:
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
    order: Callable[[Tensor], Tensor]

    def shapes(self) -> dict[str, Shape]:
        return {self.name: (self.count, self.inputs, self.outputs), f"{self.name}_bias": (self.count, self.outputs)}

    def read(self, tensors: Tensors) -> tuple[Tensor, Tensor | None]:
        weight, bias = tensors.get_part(self.name, self.expert), tensors.get_part(f"{self.name}_bias", self.expert)
        return self.order(weight.t()), self.order(bias)
