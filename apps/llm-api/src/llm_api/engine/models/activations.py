"""The activation functions of a feed-forward part, on torch's operators."""

from torch import Tensor
from torch.nn.functional import gelu, silu

from llm_api.engine.models.families.parts import Activation, ActivationKind


def activate(activation: Activation, x: Tensor) -> Tensor:
    """x [rows, width] to the same, or [rows, gates and their values] to half of it."""
    if not activation.is_gated:
        return _function(activation.kind, x)
    gate, up = x.chunk(2, -1)
    if activation.kind is ActivationKind.CLAMPED_SWIGLU:
        gate = gate.clamp(max=activation.limit)
        return gate * (activation.alpha * gate).sigmoid() * (up.clamp(-activation.limit, activation.limit) + 1)
    return _function(activation.kind, gate) * up


def _function(kind: ActivationKind, x: Tensor) -> Tensor:
    return silu(x) if kind is ActivationKind.SILU else gelu(x, approximate="tanh" if kind is ActivationKind.GELU_TANH else "none")
