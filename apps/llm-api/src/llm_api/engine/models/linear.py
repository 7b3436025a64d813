"""Linear layers whose weights are prepacked once."""

import torch
from torch import Tensor
from torch.nn.functional import linear

PACK_HINT = 16  # the row count that oneDNN optimises the layout for; a hint of 1 was up to twice as slow at 4 and 16 rows


class Linear:
    """x @ weight.T + bias. On a CPU the weights are packed once into the layout of oneDNN's kernels.

    weight [out, in]; maps x [rows, in] to [rows, out].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._is_packed = _can_pack(weight)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, PACK_HINT) if self._is_packed else weight
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        if not self._is_packed:
            return linear(x, self._weight, self._bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")


def _can_pack(weight: Tensor) -> bool:
    """Packing uses the operators that torch.compile emits when it freezes weights. They have no public API."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype is torch.float32


class OutputHead:
    """Logits in float32 from a float32 hidden state.

    bfloat16 logits of typical size are multiples of 1/8: too coarse for logprobs, and with many ties.
    """

    def __init__(self, weight: Tensor) -> None:
        self._mixed = weight.device.type == "cuda" and weight.dtype is not torch.float32
        self._weight = weight
        self._linear = None if self._mixed else Linear(weight.float())

    def __call__(self, x: Tensor) -> Tensor:
        if self._linear is not None:
            return self._linear(x)
        # Only CUDA multiplies bfloat16 matrices into a float32 result. This line has not run on a GPU yet.
        return torch.mm(x.to(self._weight.dtype), self._weight.t(), out_dtype=torch.float32)
