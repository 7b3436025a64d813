"""Chooses the next token of every sequence in one go."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llm_api.engine.sampler.greedy import NOT_FINITE, likeliest
from llm_api.engine.sampler.penalties import apply_penalties
from llm_api.engine.sequence import Sequence

LIKELY = 1024  # tokens among which the nucleus is looked for before the whole vocabulary is sorted
COLDEST = 1e-6  # greedy in effect; below, logits would overflow


def sample(logits: Tensor, sequences: list[Sequence], greedy: list[int] | None = None) -> list[int]:
    """One token per row of float32 `logits` [sequences, vocabulary], which penalties change in place.

    Greedy at temperature 0 (the lowest token id among equals), else by inverting the cumulative distribution at one
    uniform number of the sequence's own: a seed's choices do not depend on what else is in the batch.
    `greedy`: the rows' likeliest tokens, where they are known.
    """
    chosen = list(likeliest(logits) if greedy is None else greedy)
    if changed := apply_penalties(logits, sequences):
        for row, token in zip(changed, likeliest(logits[changed]), strict=True):
            if token != NOT_FINITE:  # where all was forbidden it stays the model's own choice
                chosen[row] = token
    random = [row for row, sequence in enumerate(sequences) if sequence.sampling.temperature > 0]
    # A row's way must not depend on its neighbours', hence two groups and not one way that suits all.
    for rows in ([r for r in random if not _truncates(sequences[r])], [r for r in random if _truncates(sequences[r])]):
        if rows:
            shape = Shape.of([sequences[row] for row in rows], logits.device)
            for row, token in zip(rows, _draw(logits[rows], shape).tolist(), strict=True):
                chosen[row] = token
    for sequence, token in zip(sequences, chosen, strict=True):
        if sequence.constraint is not None:
            sequence.constraint.accept(token)
    return chosen


def _truncates(sequence: Sequence) -> bool:
    return sequence.sampling.top_k > 0 or sequence.sampling.top_p < 1


@dataclass(frozen=True, slots=True)
class Shape:
    """The sequences' sampling parameters, one per row: [rows, 1]."""

    temperature: Tensor
    top_k: Tensor  # int64, 0: all
    top_p: Tensor
    min_p: Tensor
    uniform: Tensor  # float64, in [0, 1)
    truncates: bool  # every row has top_k or top_p, or none has

    @classmethod
    def of(cls, sequences: list[Sequence], device: torch.device) -> "Shape":
        def column(values: list[Any], dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.tensor(values, dtype=dtype).unsqueeze(1).to(device, non_blocking=True)

        all_sampling = [sequence.sampling for sequence in sequences]
        return cls(
            temperature=column([max(sampling.temperature, COLDEST) for sampling in all_sampling]),
            top_k=column([sampling.top_k for sampling in all_sampling], torch.int64),
            top_p=column([sampling.top_p for sampling in all_sampling]),
            min_p=column([sampling.min_p for sampling in all_sampling]),
            uniform=column([sequence.uniform() for sequence in sequences], torch.float64),
            truncates=_truncates(sequences[0]),
        )


def _draw(logits: Tensor, shape: Shape) -> Tensor:
    """Temperature, then top-k, top-p over what top-k left, and min-p against the most likely token."""
    probabilities = (logits / shape.temperature).softmax(-1)
    if not shape.truncates:
        return _invert(_apply_min_p(probabilities, shape), shape)
    ranked, tokens = _rank(probabilities, shape)
    kept = _apply_min_p(_apply_top_p(_apply_top_k(ranked, shape), shape), shape)
    return tokens.gather(1, _invert(kept, shape).unsqueeze(1)).squeeze(1)


def _rank(probabilities: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """The likeliest tokens, in order of probability and then of id: as many as top-k and top-p can ask for."""
    vocabulary = probabilities.shape[-1]
    if vocabulary > LIKELY:
        tokens = probabilities.topk(LIKELY).indices.sort(-1).values
        likely = probabilities.gather(1, tokens)
        if _holds_all(likely, shape).all():
            ranked, order = likely.sort(stable=True, dim=-1, descending=True)
            return ranked, tokens.gather(1, order)
    ranked, order = probabilities.sort(stable=True, dim=-1, descending=True)
    return ranked, order


def _holds_all(likely: Tensor, shape: Shape) -> Tensor:
    """Whether top-k and top-p stay among these, row by row. top-p takes its share of what top-k left: it needs all of that."""
    least = likely.amin(-1, keepdim=True)
    whole = likely > least  # of the least likely ones, some equals may have been left out
    mass = (likely * whole).sum(-1, keepdim=True)
    return (least == 0) | torch.where(shape.top_k > 0, shape.top_k <= whole.sum(-1, keepdim=True), mass >= shape.top_p)


def _apply_top_k(ranked: Tensor, shape: Shape) -> Tensor:
    rank = torch.arange(ranked.shape[-1], device=ranked.device)
    return ranked.masked_fill((shape.top_k > 0) & (rank >= shape.top_k), 0)


def _apply_top_p(ranked: Tensor, shape: Shape) -> Tensor:
    """Keeps the fewest tokens that reach top_p together; the first always stays."""
    mass = torch.where(shape.top_k > 0, ranked.sum(-1, keepdim=True, dtype=torch.float64), 1.0)
    before = ranked.cumsum(-1, dtype=torch.float64) - ranked
    return ranked.masked_fill((shape.top_p < 1) & (before >= shape.top_p * mass) & (before > 0), 0)


def _apply_min_p(probabilities: Tensor, shape: Shape) -> Tensor:
    return probabilities.masked_fill(probabilities < shape.min_p * probabilities.amax(-1, keepdim=True), 0)


def _invert(weights: Tensor, shape: Shape) -> Tensor:
    """The column at which the running sum of `weights` first exceeds the uniform share of its total."""
    running = weights.cumsum(-1, dtype=torch.float64)
    column = torch.searchsorted(running, shape.uniform * running[:, -1:], right=True)
    return column.clamp_(max=weights.shape[-1] - 1).squeeze(1)
