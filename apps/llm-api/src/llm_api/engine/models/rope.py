"""Rotary position embeddings (https://arxiv.org/abs/2104.09864), as Hugging Face checkpoints expect them."""

import math
from typing import Any

import torch
from torch import Tensor

from llm_api.engine.errors import EngineError


def inverse_frequencies(parameters: dict[str, Any], rotary_dim: int) -> Tensor:
    """Float32 [rotary_dim / 2], for each of ROPE_TYPES."""
    exponents = torch.arange(0, rotary_dim, 2, dtype=torch.float32) / rotary_dim
    frequencies = 1.0 / parameters["rope_theta"] ** exponents
    match parameters["rope_type"]:
        case "linear":
            return frequencies / parameters["factor"]
        case "llama3":
            return _llama3(frequencies, parameters)
        case "yarn":
            return _yarn(frequencies, parameters)
        case "longrope":
            return frequencies / torch.tensor(parameters["short_factor"])
    return frequencies


def _llama3(frequencies: Tensor, parameters: dict[str, Any]) -> Tensor:
    """Llama 3.1: divides low frequencies by `factor`, keeps high ones and interpolates between them."""
    factor, low, high = parameters["factor"], parameters["low_freq_factor"], parameters["high_freq_factor"]
    waves = parameters["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    blend = ((waves - low) / (high - low)).clamp(0, 1)
    return (1 - blend) * frequencies / factor + blend * frequencies


def _yarn(frequencies: Tensor, parameters: dict[str, Any]) -> Tensor:
    """YaRN (https://arxiv.org/abs/2309.00071): as `_llama3`, but interpolates between dimensions."""
    dim = 2 * len(frequencies)

    def dimension(rotations: float) -> float:
        """The dimension that rotates so many times within the original context."""
        positions = parameters["original_max_position_embeddings"] / (rotations * 2 * math.pi)
        return dim * math.log(positions) / (2 * math.log(parameters["rope_theta"]))

    low, high = dimension(parameters.get("beta_fast") or 32), dimension(parameters.get("beta_slow") or 1)
    if parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    blend = ((torch.arange(dim // 2, dtype=torch.float32) - low) / (high - low or 0.001)).clamp(0, 1)
    return blend * frequencies / parameters["factor"] + (1 - blend) * frequencies


def attention_factor(parameters: dict[str, Any]) -> float:
    """Multiplies cos and sin, and so the scores twice: yarn and longrope sharpen the attention over longer contexts."""
    kind, written = parameters["rope_type"], parameters.get("attention_factor")
    if written is not None and kind in {"yarn", "longrope"}:
        return float(written)
    if kind == "yarn":
        factor, ours, all_dims = parameters["factor"], parameters.get("mscale"), parameters.get("mscale_all_dim")
        return _mscale(factor, ours) / _mscale(factor, all_dims) if ours and all_dims else _mscale(factor, 1.0)
    if kind == "longrope" and parameters["factor"] > 1:
        return math.sqrt(1 + math.log(parameters["factor"]) / math.log(parameters["original_max_position_embeddings"]))
    return 1.0


def _mscale(factor: float, mscale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * mscale * math.log(factor) + 1.0


class RotaryEmbedding:
    """`cos` and `sin`, each float32 [positions, head dim]; `sin` includes the sign of rotate_half.

    Where only `rotary_dim` dimensions are rotated, these are the first ones of each half of the head (see `half_rotated_order`).
    """

    def __init__(
        self, parameters: dict[str, Any], head_dim: int, max_positions: int, device: torch.device, rotary_dim: int | None = None
    ) -> None:
        """Raises EngineError for a longrope model beyond its original context, where all positions depend on the longest prompt."""
        _check_length(parameters, max_positions)
        rotary_dim = rotary_dim or head_dim
        angles = torch.outer(torch.arange(max_positions, dtype=torch.float32), inverse_frequencies(parameters, rotary_dim))
        factor, passing = attention_factor(parameters), (max_positions, (head_dim - rotary_dim) // 2)
        cos = torch.cat((angles.cos() * factor, torch.ones(passing)), -1)
        sin = torch.cat((angles.sin() * factor, torch.zeros(passing)), -1)
        self.cos = torch.cat((cos, cos), -1).to(device)
        self.sin = torch.cat((-sin, sin), -1).to(device)
        self._half = head_dim // 2

    def at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Maps positions [rows] to cos and sin, each [rows, 1, head dim]."""
        return self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)

    def rotate(self, x: Tensor, cos_sin: tuple[Tensor, Tensor]) -> Tensor:
        """Rotates x [rows, heads, head dim] in float32 and rounds the result to its dtype."""
        cos, sin = cos_sin
        return torch.addcmul(x * cos, x.roll(self._half, -1), sin).to(x.dtype)


def _check_length(parameters: dict[str, Any], max_positions: int) -> None:
    limit = parameters["original_max_position_embeddings"] if parameters["rope_type"] == "longrope" else max_positions
    if max_positions > limit:
        raise EngineError(
            f"the model changes its attention beyond {limit} tokens (longrope), which is not supported: set MAX_MODEL_LEN={limit}"
        )


def half_rotated_order(head_dim: int, rotary_dim: int, *, is_interleaved: bool) -> list[int]:
    """The order of a head's dimensions in which each one of the first half is rotated with its counterpart in the second half.

    Scores do not change when queries and keys have the same order, so that one rotation computes every kind of RoPE.
    """
    half = rotary_dim // 2
    first, second = (range(0, rotary_dim, 2), range(1, rotary_dim, 2)) if is_interleaved else (range(half), range(half, rotary_dim))
    passing = range(rotary_dim, head_dim)
    middle = len(passing) // 2
    return [*first, *passing[:middle], *second, *passing[middle:]]
