"""Matrix products with weights that never change."""

import torch
from torch import Tensor
from torch.nn.functional import linear

PACK_HINT = 16  # rows that oneDNN lays the weights out for; a hint of 1 was up to twice as slow at 4 and 16 rows


class Linear:
    """x @ weight.T + bias. On a CPU the weights are laid out once as oneDNN's kernels want them.

    weight [out, in]; called with x [rows, in], it returns [rows, out].
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self._weight = weight
        self._bias = bias
        self._packed = _pack(weight)

    def __call__(self, x: Tensor) -> Tensor:
        if self._packed is None:
            return linear(x, self._weight, self._bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")


def _pack(weight: Tensor) -> Tensor | None:
    # The same operators that torch.compile's freezing emits; there is no public name for them.
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    if weight.dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    if weight.dtype not in (torch.bfloat16, torch.float32):
        return None
    return torch.ops.mkldnn._reorder_linear_weight(weight, PACK_HINT)


class OutputHead:
    """Logits in float32 from a float32 hidden state.

    bfloat16 logits would be multiples of 1/8 where they matter: too coarse for logprobs, and full of ties.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight
        self._float = Linear(weight.float()) if weight.device.type == "cpu" else None

    def __call__(self, x: Tensor) -> Tensor:
        if self._float is not None:
            return self._float(x)
        return torch.mm(x.to(self._weight.dtype), self._weight.t(), out_dtype=torch.float32)
