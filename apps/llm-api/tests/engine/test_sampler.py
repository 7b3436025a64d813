"""Compares the vectorised sampler with a slow one that defines the meaning of each parameter."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_api.engine.messages import AddRequest, SamplingParams
from llm_api.engine.sampler.sampler import sample
from llm_api.engine.sequence import Sequence

VOCABULARY = 60


def sequence(prompt: list[int], completion: list[int], **sampling: Any) -> Sequence:
    request = AddRequest(request_id="r", prompt_token_ids=prompt, sampling=SamplingParams(max_tokens=99, **sampling))
    made = Sequence(request, 0)
    made.token_ids += completion
    return made


def slow(logits: list[float], of: Sequence, uniform: float) -> tuple[int, float]:
    """The token, and its distance to the nearest border (between two tokens, or of the nucleus), as a share of the distribution.

    Near a border, rounding can decide."""
    s, values = of.sampling, dict(enumerate(logits))
    for token in set(of.token_ids):
        values[token] = values[token] / s.repetition_penalty if values[token] > 0 else values[token] * s.repetition_penalty
    for token, count in Counter(of.completion_token_ids).items():
        values[token] -= count * s.frequency_penalty + s.presence_penalty
    for token, bias in s.logit_bias.items():
        values[token] += bias
    if s.temperature == 0:
        return max(values, key=lambda token: (values[token], -token)), 1
    border = 1.0
    top = max(values.values())
    weights = {token: math.exp((value - top) / s.temperature) for token, value in values.items()}
    order = sorted(weights, key=lambda token: (-weights[token], token)) if s.top_k or s.top_p < 1 else list(weights)
    kept = order[: s.top_k] if s.top_k else order
    if s.top_p < 1:
        total, before, nucleus = sum(weights[token] for token in kept), 0.0, []
        for token in kept:
            border = min(border, abs(before - s.top_p * total) / total)
            if before < s.top_p * total:
                nucleus.append(token)
            before += weights[token]
        kept = nucleus
    kept = [token for token in kept if weights[token] >= s.min_p * max(weights.values())]
    total, running = sum(weights[token] for token in kept), 0.0
    target = uniform * total
    for token in kept:
        running += weights[token]
        if running > target:
            break
    return token, min(border, abs(running - target) / total, abs(running - weights[token] - target) / total)


parameters = st.fixed_dictionaries(
    {
        "temperature": st.sampled_from([0.0, 0.3, 1.0, 2.0]),
        "top_k": st.sampled_from([0, 1, 5, 59, 100]),
        "top_p": st.sampled_from([1.0, 0.9, 0.5, 1e-6]),
        "min_p": st.sampled_from([0.0, 0.02, 1.0]),
        "frequency_penalty": st.sampled_from([0.0, 0.7, -2.0]),
        "presence_penalty": st.sampled_from([0.0, 0.4]),
        "repetition_penalty": st.sampled_from([1.0, 1.5]),
        "logit_bias": st.sampled_from([{}, {3: 100.0}, {3: -100.0, 7: 1.5}]),
    }
)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.tuples(parameters, st.integers(0, 2**32)), min_size=1, max_size=5))
def test_every_row_equals_the_slow_sampler(rows: list[tuple[dict[str, Any], int]]) -> None:
    sequences, logits = [], []
    for sampling, seed in rows:
        generator = torch.Generator().manual_seed(seed)
        logits.append((torch.randn(VOCABULARY, generator=generator) * 3).tolist())
        history = torch.randint(0, VOCABULARY, (8,), generator=generator).tolist()
        sequences.append(sequence(history[:4], history[4:], seed=seed, **sampling))
    chosen = sample(torch.tensor(logits), sequences)
    for row, token in enumerate(chosen):
        expected, border = slow(logits[row], sequences[row], sequences[row].uniform())
        assert token == expected or border < 1e-5


def test_equal_logits_go_to_the_lowest_token_when_greedy() -> None:
    logits = torch.zeros(2, VOCABULARY)
    logits[1, [9, 5]] = 1
    assert sample(logits, [sequence([1], [], temperature=0), sequence([1], [], temperature=0)]) == [0, 5]


@pytest.mark.parametrize("sampling", [{}, {"top_k": 2000}, {"top_p": 0.97}, {"top_k": 3000, "top_p": 0.9}, {"min_p": 0.001}])
def test_a_rows_token_does_not_depend_on_its_neighbours(sampling: dict[str, Any]) -> None:
    """A vocabulary larger than TOP_CANDIDATES, next to rows that need and rows that do not need all of it."""
    logits = torch.randn(4, 5000, generator=torch.Generator().manual_seed(1))
    neighbours: list[dict[str, Any]] = [{"top_p": 0.9999}, {"top_k": 1}, {}]

    def mine() -> Sequence:
        return sequence([1], [], seed=5, **sampling)

    alone = sample(logits[:1].clone(), [mine()])[0]
    others = [sequence([1], [], **neighbour) for neighbour in neighbours]
    assert sample(logits.clone(), [mine(), *others])[0] == alone


def test_tokens_are_drawn_with_their_probabilities() -> None:
    """Chi-square over 20 tokens and 20,000 draws with fixed seeds. By chance it exceeds 43.8 once in a thousand runs."""
    logits = torch.linspace(-2, 2, 20)
    expected = (logits / 0.8).softmax(-1)
    counts: Counter[int] = Counter()
    for batch in range(20):
        sequences = [sequence([1], [], temperature=0.8, seed=1000 * batch + row) for row in range(1000)]
        counts.update(sample(logits.repeat(1000, 1), sequences))
    chi_square = sum((counts[token] - 20_000 * float(p)) ** 2 / (20_000 * float(p)) for token, p in enumerate(expected))
    assert chi_square < 43.8
