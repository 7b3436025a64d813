"""Quantizes weights to 8 or 4 bits, with a scale and a minimum per group of 32 inputs of an output."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

GROUP = 32  # quantized.h
BITS = {"int8": 8, "int4": 4}
REFINEMENTS = 1  # a second one reduced the error by 3% and doubled the time
VALUES_AT_ONCE = 2**18  # so that intermediate results stay in the CPU cache


@dataclass(frozen=True, slots=True)
class QuantizedWeight:
    """weight = scale * code + minimum."""

    codes: Tensor  # uint8 [out, in]
    scales: Tensor  # float16 [out, groups]; the last group may be shorter
    minima: Tensor

    def dequantized(self) -> Tensor:
        """The weight that the codes represent: float32 [out, in]."""
        inputs = self.codes.shape[1]
        scales, minima = (part.float().repeat_interleave(GROUP, 1)[:, :inputs] for part in (self.scales, self.minima))
        return scales * self.codes + minima


def quantize(weight: Tensor, bits: int) -> QuantizedWeight:
    rows = max(VALUES_AT_ONCE // weight.shape[1], 1)
    parts = [_quantize(part.float(), 2**bits - 1) for part in weight.split(rows)]
    codes, scales, minima = map(torch.cat, zip(*parts, strict=True))
    return QuantizedWeight(codes, scales, minima)


def _quantize(weight: Tensor, highest: int) -> tuple[Tensor, Tensor, Tensor]:
    inputs = weight.shape[1]
    # Repeating the last value completes the last group without widening its range.
    filled = pad(weight[None], (0, -inputs % GROUP), mode="replicate")[0] if inputs % GROUP else weight
    groups = filled.unflatten(1, (-1, GROUP))
    minima = groups.amin(-1, keepdim=True)
    scales = (groups.amax(-1, keepdim=True) - minima) / highest
    best = _round(groups, scales, minima, highest)
    for _ in range(REFINEMENTS):
        best = _better(best, _round(groups, *_least_squares(groups, best[0]), highest), groups)
    codes, scales, minima = best
    return codes.to(torch.uint8).flatten(1)[:, :inputs].contiguous(), scales[..., 0].contiguous(), minima[..., 0].contiguous()


def _round(groups: Tensor, scales: Tensor, minima: Tensor, highest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rounds scales and minima to float16, then the groups to the nearest codes. A non-finite weight makes its scale non-finite."""
    scales, minima = scales.half(), minima.half()
    steps = scales.float()
    codes = (groups - minima.float()) / torch.where(steps > 0, steps, 1)
    return codes.round().clamp(0, highest).nan_to_num(0), scales, minima


def _least_squares(groups: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    """The scale and minimum with the least squared error for these codes (linear regression)."""
    codes_mean, mean = codes.mean(-1, keepdim=True), groups.mean(-1, keepdim=True)
    around = codes - codes_mean
    spread = around.square().sum(-1, keepdim=True)
    scales = (around * (groups - mean)).sum(-1, keepdim=True) / torch.where(spread > 0, spread, 1)
    return scales, mean - scales * codes_mean


def _better(one: tuple[Tensor, ...], other: tuple[Tensor, ...], groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The fit with the smaller error, for each group."""
    is_better = _error(other, groups) < _error(one, groups)
    codes, scales, minima = (torch.where(is_better, b, a) for a, b in zip(one, other, strict=True))
    return codes, scales, minima


def _error(fit: tuple[Tensor, ...], groups: Tensor) -> Tensor:
    codes, scales, minima = fit
    return (scales.float() * codes + minima.float() - groups).square().sum(-1, keepdim=True)
