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
        self._is_packed = _can_pack(weight)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, PACK_HINT) if self._is_packed else weight
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        if not self._is_packed:
            return linear(x, self._weight, self._bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")


def _can_pack(weight: Tensor) -> bool:
    """Packing goes through the operators that torch.compile's freezing emits; there is no public name for them."""
    if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if weight.dtype is torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype is torch.float32


class OutputHead:
    """Logits in float32 from a float32 hidden state.

    bfloat16 logits would be multiples of 1/8 where they matter: too coarse for logprobs, and full of ties.
    """

    def __init__(self, weight: Tensor) -> None:
        self._widens = weight.device.type == "cuda" and weight.dtype is not torch.float32
        self._weight = weight
        self._product = None if self._widens else Linear(weight.float())

    def __call__(self, x: Tensor) -> Tensor:
        if self._product is not None:
            return self._product(x)
        # Only CUDA has a product of narrow factors with a wide result. No GPU has run this line yet.
        return torch.mm(x.to(self._weight.dtype), self._weight.t(), out_dtype=torch.float32)
