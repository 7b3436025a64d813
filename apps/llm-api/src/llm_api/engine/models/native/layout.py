"""Weights as the library's products read them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_api.engine.models.native.interface import Kernels, Linear
from llm_api.engine.models.native.memory import Arena

PANEL = 32  # linear.h
DTYPES = {torch.bfloat16: 0, torch.float32: 1}  # llm_step.h


@dataclass(frozen=True, slots=True)
class PackedProduct:
    """`struct` points into the tensors beside it."""

    struct: Linear
    weight: Tensor
    bias: Tensor | None


class NativeLayout:
    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._arena = Arena()

    def linear(self, weight: Tensor, bias: Tensor | None) -> PackedProduct:
        weight = weight.contiguous()
        outputs, inputs = weight.shape
        dtype = DTYPES[weight.dtype]
        packed = self._arena.take(self._kernels.packed_bytes(dtype, outputs, inputs))
        self._kernels.pack(dtype, weight.data_ptr(), outputs, inputs, packed.data_ptr())
        padded = None if bias is None else pad(bias.float(), (0, -outputs % PANEL)).contiguous()
        struct = Linear(packed.data_ptr(), None if padded is None else padded.data_ptr(), inputs, outputs)
        return PackedProduct(struct, packed, padded)

    def gate_up(self, weight: Tensor, bias: Tensor | None) -> PackedProduct:
        return self.linear(_interleaved(weight), None if bias is None else _interleaved(bias))

    def head(self, weight: Tensor) -> PackedProduct:
        return self.linear(weight, None)


def _interleaved(halves: Tensor) -> Tensor:
    """Gates then ups, to a panel of gates, the panel of ups that they multiply, and so on; both filled up with zeros."""
    pairs = halves.unflatten(0, (2, -1))
    missing = -pairs.shape[1] % PANEL
    if missing:
        pairs = torch.cat((pairs, pairs.new_zeros(2, missing, *pairs.shape[2:])), 1)
    return pairs.unflatten(1, (-1, PANEL)).transpose(0, 1).flatten(0, 2)
