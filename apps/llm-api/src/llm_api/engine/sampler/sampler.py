"""Samples the next token of every sequence of a step in one batch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.grammar.masks import StepMasks
from llm_api.engine.sampler.penalties import apply_penalties, is_excluded
from llm_api.engine.sequence import Sequence

NOT_FINITE, DEAD_END = -1, -2  # in place of a token id
TOP_CANDIDATES = 1024  # most likely tokens that top-k and top-p try before the whole vocabulary is sorted
MIN_TEMPERATURE = 1e-6  # effectively greedy; a lower one would overflow the logits


def sample(logits: Tensor, sequences: list[Sequence], greedy: list[int] | None = None, masks: StepMasks | None = None) -> list[int]:
    """One token per row of float32 `logits` [sequences, vocabulary]. Penalties and masks change `logits` in place.

    At temperature 0 the most likely token, and the lowest token id among equals. Otherwise by inverse transform sampling with a
    uniform number of the sequence, so that the tokens of a seed do not depend on the other sequences of the batch.
    `greedy`: the rows' most likely tokens, if they are already known. `masks`: of these sequences' grammars.
    DEAD_END for a sequence whose grammar, bad_words and allowed_token_ids leave no token.
    """
    chosen = list(greedy_tokens(logits) if greedy is None else greedy)
    changed = apply_penalties(logits, sequences)
    masked = masks.apply(logits, sequences) if masks else []
    if rows := sorted({*changed, *masked}):
        for row, token in zip(rows, greedy_tokens(logits[rows]), strict=True):
            must_obey = row in masked or sequences[row].bad_words is not None
            if must_obey and (token == NOT_FINITE or is_excluded(logits[row, token])):
                chosen[row] = DEAD_END
            elif token != NOT_FINITE:  # with no finite logit left, keep the model's own choice
                chosen[row] = token
    random = [row for row, sequence in enumerate(sequences) if sequence.sampling.temperature > 0 and chosen[row] != DEAD_END]
    # Two groups, because how a row is computed must not depend on the parameters of other rows.
    for rows in ([r for r in random if not _truncates(sequences[r])], [r for r in random if _truncates(sequences[r])]):
        if rows:
            params = BatchedParams.of([sequences[row] for row in rows], logits.device)
            for row, token in zip(rows, _draw(logits[rows], params).tolist(), strict=True):
                chosen[row] = token
    return chosen


def greedy_tokens(logits: Tensor) -> list[int]:
    """The most likely token of each row of float32 `logits` [rows, vocabulary], and the lowest token id among equals.

    NOT_FINITE for rows whose maximum is NaN or infinite; argmax treats NaN as the maximum. On a CPU numpy's argmax takes an eighth
    of the time of torch's.
    """
    if logits.device.type == "cpu":
        rows = logits.numpy()
        tokens = rows.argmax(-1)
        found: list[int] = np.where(np.isfinite(rows[np.arange(len(rows)), tokens]), tokens, NOT_FINITE).tolist()
        return found
    highest = logits.max(-1)
    return torch.where(highest.values.isfinite(), highest.indices, NOT_FINITE).tolist()  # one transfer from the GPU


def _truncates(sequence: Sequence) -> bool:
    return sequence.sampling.top_k > 0 or sequence.sampling.top_p < 1


@dataclass(frozen=True, slots=True)
class BatchedParams:
    """The sequences' sampling parameters as tensors [rows, 1]."""

    temperature: Tensor
    top_k: Tensor  # int64, 0: all
    top_p: Tensor
    min_p: Tensor
    uniform: Tensor  # float64, in [0, 1)
    truncates: bool  # all rows have top_k or top_p, or none has

    @classmethod
    def of(cls, sequences: list[Sequence], device: torch.device) -> "BatchedParams":
        def column(values: list[Any], dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.tensor(values, dtype=dtype).unsqueeze(1).to(device, non_blocking=True)

        all_sampling = [sequence.sampling for sequence in sequences]
        return cls(
            temperature=column([max(sampling.temperature, MIN_TEMPERATURE) for sampling in all_sampling]),
            top_k=column([sampling.top_k for sampling in all_sampling], torch.int64),
            top_p=column([sampling.top_p for sampling in all_sampling]),
            min_p=column([sampling.min_p for sampling in all_sampling]),
            uniform=column([sequence.uniform() for sequence in sequences], torch.float64),
            truncates=_truncates(sequences[0]),
        )


def _draw(logits: Tensor, params: BatchedParams) -> Tensor:
    """Temperature, then top-k, top-p over what top-k left, and min-p against the most likely token."""
    probabilities = (logits / params.temperature).softmax(-1)
    if not params.truncates:
        return _invert(_apply_min_p(probabilities, params), params)
    ranked, tokens = _rank(probabilities, params)
    kept = _apply_min_p(_apply_top_p(_apply_top_k(ranked, params), params), params)
    return tokens.gather(1, _invert(kept, params).unsqueeze(1)).squeeze(1)


def _rank(probabilities: Tensor, params: BatchedParams) -> tuple[Tensor, Tensor]:
    """Probabilities and ids of the most likely tokens, sorted by probability, then id: at least as many as top-k and top-p keep."""
    vocabulary = probabilities.shape[-1]
    if vocabulary > TOP_CANDIDATES:
        tokens = probabilities.topk(TOP_CANDIDATES).indices.sort(-1).values
        likely = probabilities.gather(1, tokens)
        if _has_all(likely, params).all():
            ranked, order = likely.sort(stable=True, dim=-1, descending=True)
            return ranked, tokens.gather(1, order)
    ranked, order = probabilities.sort(stable=True, dim=-1, descending=True)
    return ranked, order


def _has_all(likely: Tensor, params: BatchedParams) -> Tensor:
    """Per row, whether these tokens include all that top-k and top-p keep. top-p is relative to the sum of all tokens that top-k keeps."""
    least = likely.amin(-1, keepdim=True)
    whole = likely > least  # excludes the least likely ones: topk may have left out tokens of equal probability
    mass = (likely * whole).sum(-1, keepdim=True)
    return (least == 0) | torch.where(params.top_k > 0, params.top_k <= whole.sum(-1, keepdim=True), mass >= params.top_p)


def _apply_top_k(ranked: Tensor, params: BatchedParams) -> Tensor:
    rank = torch.arange(ranked.shape[-1], device=ranked.device)
    return ranked.masked_fill((params.top_k > 0) & (rank >= params.top_k), 0)


def _apply_top_p(ranked: Tensor, params: BatchedParams) -> Tensor:
    """Keeps the smallest set of tokens whose probabilities reach top_p, and always the first token."""
    mass = torch.where(params.top_k > 0, ranked.sum(-1, keepdim=True, dtype=torch.float64), 1.0)
    before = ranked.cumsum(-1, dtype=torch.float64) - ranked
    return ranked.masked_fill((params.top_p < 1) & (before >= params.top_p * mass) & (before > 0), 0)


def _apply_min_p(probabilities: Tensor, params: BatchedParams) -> Tensor:
    return probabilities.masked_fill(probabilities < params.min_p * probabilities.amax(-1, keepdim=True), 0)


def _invert(weights: Tensor, params: BatchedParams) -> Tensor:
    """The first column at which the running sum of `weights` exceeds the uniform number times the total."""
    running = weights.cumsum(-1, dtype=torch.float64)
    column = torch.searchsorted(running, params.uniform * running[:, -1:], right=True)
    return column.clamp_(max=weights.shape[-1] - 1).squeeze(1)
