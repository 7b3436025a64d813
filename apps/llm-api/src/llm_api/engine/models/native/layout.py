"""Packs weights into the layouts of the C++ library."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_api.engine.memory import Arena
from llm_api.engine.models.native.bindings import Kernels, LinearStruct
from llm_api.engine.models.native.quantize import BITS, quantize

PANEL = 32  # panel.h
DTYPES = {torch.bfloat16: 0, torch.float32: 1}  # llm_step.h
FORMATS = {"none": 0, "int8": 1, "int4": 2}
HEAD_FORMATS = {"none": "none", "int8": "int8", "int4": "int8"}  # errors of the output head are errors of the logits


@dataclass(frozen=True, slots=True)
class PackedLinear:
    """`struct` points into `weight` and `bias`."""

    struct: LinearStruct
    weight: Tensor
    bias: Tensor | None


class NativeLayout:
    """`quantization`: none keeps the weights in the model's dtype; int8 and int4 quantize those of the linear layers."""

    def __init__(self, kernels: Kernels, quantization: str = "none") -> None:
        self.kernels = kernels
        self._quantization = quantization
        self._arena = Arena()

    def linear(self, weight: Tensor, bias: Tensor | None) -> PackedLinear:
        return self._packed(weight.contiguous(), bias, self._quantization)

    def gate_up(self, weight: Tensor, bias: Tensor | None) -> PackedLinear:
        return self.linear(_interleaved(weight), None if bias is None else _interleaved(bias))

    def router(self, weight: Tensor, bias: Tensor | None) -> PackedLinear:
        return self._packed(weight.contiguous(), bias, "none")

    def head(self, weight: Tensor) -> PackedLinear:
        return self._packed(weight.contiguous(), None, HEAD_FORMATS[self._quantization])

    def plain(self, weight: Tensor) -> Tensor:
        """A copy. A tensor that points into the mapped checkpoint file would keep the whole file in memory."""
        copy = self._arena.allocate(weight.nbytes).view(weight.dtype).view(weight.shape)
        return copy.copy_(weight)

    def _packed(self, weight: Tensor, bias: Tensor | None, quantization: str) -> PackedLinear:
        outputs, inputs = weight.shape
        packed = self._pack(weight) if quantization == "none" else self._pack_groups(weight, quantization)
        padded = None if bias is None else pad(bias.float(), (0, -outputs % PANEL)).contiguous()
        bias_at = None if padded is None else padded.data_ptr()
        struct = LinearStruct(packed.data_ptr(), bias_at, inputs, outputs, FORMATS[quantization], packed.nbytes)
        return PackedLinear(struct, packed, padded)

    def _pack(self, weight: Tensor) -> Tensor:
        dtype = DTYPES[weight.dtype]
        packed = self._arena.allocate(self.kernels.packed_bytes(dtype, *weight.shape))
        self.kernels.pack(dtype, weight.data_ptr(), *weight.shape, packed.data_ptr())
        return packed

    def _pack_groups(self, weight: Tensor, quantization: str) -> Tensor:
        quantized, kind = quantize(weight, BITS[quantization]), FORMATS[quantization]
        packed = self._arena.allocate(self.kernels.packed_groups_bytes(kind, *weight.shape))
        parts = (quantized.codes.data_ptr(), quantized.scales.data_ptr(), quantized.minima.data_ptr())
        self.kernels.pack_groups(kind, *parts, *weight.shape, packed.data_ptr())
        return packed


def _interleaved(halves: Tensor) -> Tensor:
    """Gates, then ups, to alternating panels: a panel of gates, then the panel of ups that they multiply. Padded with zeros."""
    pairs = halves.unflatten(0, (2, -1))
    missing = -pairs.shape[1] % PANEL
    if missing:
        pairs = torch.cat((pairs, pairs.new_zeros(2, missing, *pairs.shape[2:])), 1)
    return pairs.unflatten(1, (-1, PANEL)).transpose(0, 1).flatten(0, 2)
