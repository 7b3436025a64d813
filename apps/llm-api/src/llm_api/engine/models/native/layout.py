"""Weights as the library's products read them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_api.engine.models.native.interface import Kernels, Linear
from llm_api.engine.models.native.memory import Arena
from llm_api.engine.models.native.quantise import BITS, quantise

PANEL = 32  # linear.h
DTYPES = {torch.bfloat16: 0, torch.float32: 1}  # llm_step.h
FORMATS = {"none": 0, "int8": 1, "int4": 2}
HEAD_FORMATS = {"none": "none", "int8": "int8", "int4": "int8"}  # the head's errors are the logits' own


@dataclass(frozen=True, slots=True)
class PackedProduct:
    """`struct` points into the tensors beside it."""

    struct: Linear
    weight: Tensor
    bias: Tensor | None


class NativeLayout:
    """`quantization` none keeps the weights in the model's dtype; int8 and int4 are for the layers' products."""

    def __init__(self, kernels: Kernels, quantization: str = "none") -> None:
        self.kernels = kernels
        self._quantization = quantization
        self._arena = Arena()

    def linear(self, weight: Tensor, bias: Tensor | None) -> PackedProduct:
        return self._product(weight.contiguous(), bias, self._quantization)

    def gate_up(self, weight: Tensor, bias: Tensor | None) -> PackedProduct:
        return self.linear(_interleaved(weight), None if bias is None else _interleaved(bias))

    def head(self, weight: Tensor) -> PackedProduct:
        return self._product(weight.contiguous(), None, HEAD_FORMATS[self._quantization])

    def plain(self, weight: Tensor) -> Tensor:
        """A copy: a tensor that still points into the checkpoint's file would keep all of that in memory."""
        copy = self._arena.take(weight.nbytes).view(weight.dtype).view(weight.shape)
        return copy.copy_(weight)

    def _product(self, weight: Tensor, bias: Tensor | None, quantization: str) -> PackedProduct:
        outputs, inputs = weight.shape
        packed = self._pack(weight) if quantization == "none" else self._pack_groups(weight, quantization)
        padded = None if bias is None else pad(bias.float(), (0, -outputs % PANEL)).contiguous()
        struct = Linear(packed.data_ptr(), None if padded is None else padded.data_ptr(), inputs, outputs, FORMATS[quantization])
        return PackedProduct(struct, packed, padded)

    def _pack(self, weight: Tensor) -> Tensor:
        dtype = DTYPES[weight.dtype]
        packed = self._arena.take(self.kernels.packed_bytes(dtype, *weight.shape))
        self.kernels.pack(dtype, weight.data_ptr(), *weight.shape, packed.data_ptr())
        return packed

    def _pack_groups(self, weight: Tensor, quantization: str) -> Tensor:
        quantised, kind = quantise(weight, BITS[quantization]), FORMATS[quantization]
        packed = self._arena.take(self.kernels.packed_groups_bytes(kind, *weight.shape))
        parts = (quantised.codes.data_ptr(), quantised.scales.data_ptr(), quantised.minima.data_ptr())
        self.kernels.pack_groups(kind, *parts, *weight.shape, packed.data_ptr())
        return packed


def _interleaved(halves: Tensor) -> Tensor:
    """Gates then ups, to a panel of gates, the panel of ups that they multiply, and so on; both filled up with zeros."""
    pairs = halves.unflatten(0, (2, -1))
    missing = -pairs.shape[1] % PANEL
    if missing:
        pairs = torch.cat((pairs, pairs.new_zeros(2, missing, *pairs.shape[2:])), 1)
    return pairs.unflatten(1, (-1, PANEL)).transpose(0, 1).flatten(0, 2)
