"""Parameters at the ends of their ranges, and distributions that are flat, steep or full of ties."""

from typing import Any

import pytest
import torch
from engine.test_sampler import sequence

from llm_api.engine.sampler.sampler import LIKELY, sample

VOCABULARY = 4 * LIKELY


def draw(logits: torch.Tensor, **sampling: Any) -> int:
    return sample(logits.unsqueeze(0).clone(), [sequence([1], [], **sampling)])[0]


@pytest.mark.parametrize("sampling", [{"top_p": 0.0}, {"top_p": 1e-30}, {"top_k": 1}, {"min_p": 1.0}, {"top_k": 7, "top_p": 0.0}])
@pytest.mark.parametrize("vocabulary", [50, VOCABULARY])
def test_the_narrowest_settings_leave_the_likeliest_token(sampling: dict[str, Any], vocabulary: int) -> None:
    logits = torch.randn(vocabulary, generator=torch.Generator().manual_seed(3))
    assert {draw(logits, seed=seed, **sampling) for seed in range(20)} == {int(logits.argmax())}


@pytest.mark.parametrize("temperature", [1e-2, 1e-6, 1e-20, 1e-38, 1e-45, 5e-324])
@pytest.mark.parametrize("sampling", [{}, {"top_p": 0.9}, {"top_k": 5}])
def test_a_tiny_temperature_is_greedy(temperature: float, sampling: dict[str, Any]) -> None:
    logits = torch.linspace(-20, 20, 60).roll(7)
    assert draw(logits, seed=1, temperature=temperature, **sampling) == int(logits.argmax())


@pytest.mark.parametrize("bias", [100.0, -100.0])
def test_a_full_bias_forces_or_bans_a_token(bias: float) -> None:
    logits = torch.randn(60, generator=torch.Generator().manual_seed(4)) * 5
    likeliest = int(logits.argmax())
    token = likeliest if bias < 0 else int(logits.argmin())
    drawn = {draw(logits, seed=seed, temperature=1.0, logit_bias={token: bias}) for seed in range(50)}
    assert (drawn == {token}) if bias > 0 else (token not in drawn)
