"""Rotary position embeddings (https://arxiv.org/abs/2104.09864), as Hugging Face checkpoints expect them."""

import math
from typing import Any

import torch
from torch import Tensor


def inverse_frequencies(parameters: dict[str, Any], head_dim: int) -> Tensor:
    """Float32 [head_dim / 2]. Supports the RoPE types default, linear and llama3."""
    exponents = torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim
    frequencies = 1.0 / parameters["rope_theta"] ** exponents
    if parameters["rope_type"] == "linear":
        return frequencies / parameters["factor"]
    if parameters["rope_type"] == "llama3":
        return _llama3(frequencies, parameters)
    return frequencies


def _llama3(frequencies: Tensor, parameters: dict[str, Any]) -> Tensor:
    """Llama 3.1: divides low frequencies by `factor`, keeps high ones and interpolates between them."""
    factor, low, high = parameters["factor"], parameters["low_freq_factor"], parameters["high_freq_factor"]
    waves = parameters["original_max_position_embeddings"] * frequencies / (2 * math.pi)
    blend = ((waves - low) / (high - low)).clamp(0, 1)
    return (1 - blend) * frequencies / factor + blend * frequencies


class RotaryEmbedding:
    """`cos` and `sin`, each float32 [positions, head dim]; `sin` includes the sign of rotate_half."""

    def __init__(self, parameters: dict[str, Any], head_dim: int, max_positions: int, device: torch.device) -> None:
        angles = torch.outer(torch.arange(max_positions, dtype=torch.float32), inverse_frequencies(parameters, head_dim))
        self.cos = torch.cat((angles.cos(), angles.cos()), -1).to(device)
        self.sin = torch.cat((-angles.sin(), angles.sin()), -1).to(device)
        self._half = head_dim // 2

    def at(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Maps positions [rows] to cos and sin, each [rows, 1, head dim]."""
        return self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1)

    def rotate(self, x: Tensor, cos_sin: tuple[Tensor, Tensor]) -> Tensor:
        """Rotates x [rows, heads, head dim] in float32 and rounds the result to its dtype."""
        cos, sin = cos_sin
        return torch.addcmul(x * cos, x.roll(self._half, -1), sin).to(x.dtype)
