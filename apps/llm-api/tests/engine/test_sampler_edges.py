"""Parameters at the ends of their ranges, and distributions that are flat, steep or full of ties."""

from typing import Any

import pytest
import torch
from engine.test_sampler import sequence, slow
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_api.engine.sampler.sampler import TOP_CANDIDATES, sample

VOCABULARY = 4 * TOP_CANDIDATES


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


@settings(max_examples=40, deadline=None)
@given(
    levels=st.sampled_from([1, 2, 3, 40]),
    spread=st.sampled_from([0.0, 1.0, 8.0]),
    temperature=st.sampled_from([0.5, 1.0, 2.0]),
    top_k=st.sampled_from([0, 3, TOP_CANDIDATES - 1, TOP_CANDIDATES, TOP_CANDIDATES + 1, 3 * TOP_CANDIDATES, VOCABULARY + 5]),
    top_p=st.sampled_from([1.0, 0.9999, 0.9, 0.3, 1e-9]),
    min_p=st.sampled_from([0.0, 0.01]),
    seed=st.integers(0, 2**32),
)
def test_ties_at_every_border_go_to_the_lowest_tokens(levels: int, spread: float, seed: int, **sampling: float) -> None:
    """Logits with few distinct values, in a vocabulary larger than TOP_CANDIDATES."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(0, levels, (VOCABULARY,), generator=generator) * (spread / levels)
    of = sequence([1], [], seed=seed, **sampling)
    expected, border = slow(logits.tolist(), of, of.uniform())
    assert sample(logits.unsqueeze(0), [of])[0] == expected or border < 1e-6
