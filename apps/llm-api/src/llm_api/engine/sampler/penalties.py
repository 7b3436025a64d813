"""Penalties and biases: what changes single tokens' logits before the distribution is shaped."""

import torch
from torch import Tensor

from llm_api.engine.sequence import Sequence


def is_penalised(sequence: Sequence) -> bool:
    sampling = sequence.sampling
    penalised = sampling.repetition_penalty != 1 or sampling.frequency_penalty or sampling.presence_penalty or sampling.logit_bias
    return bool(penalised) or sequence.constraint is not None


def apply_penalties(logits: Tensor, sequences: list[Sequence], rows: list[int]) -> None:
    """In place, for `rows` of float32 `logits` [sequences, vocabulary]."""
    for number in rows:
        row, sequence = logits[number], sequences[number]
        sampling = sequence.sampling
        if sampling.repetition_penalty != 1:
            _repetition(row, sequence.token_ids, sampling.repetition_penalty)
        if sampling.frequency_penalty or sampling.presence_penalty:
            _frequency(row, sequence.completion_token_ids, sampling.frequency_penalty, sampling.presence_penalty)
        if sampling.logit_bias:
            _bias(row, sampling.logit_bias)
        if sequence.constraint is not None:
            sequence.constraint.forbid(row)


def _repetition(row: Tensor, token_ids: list[int], penalty: float) -> None:
    """Over prompt and completion, as https://arxiv.org/abs/1909.05858 and transformers have it."""
    seen = torch.unique(torch.tensor(token_ids, device=row.device))
    logits = row[seen]
    row[seen] = torch.where(logits > 0, logits / penalty, logits * penalty)


def _frequency(row: Tensor, token_ids: list[int], frequency: float, presence: float) -> None:
    """Over the completion alone, as OpenAI documents: logit - count * frequency - (count > 0) * presence."""
    if token_ids:
        seen, counts = torch.unique(torch.tensor(token_ids, device=row.device), return_counts=True)
        row[seen] -= counts * frequency + presence


def _bias(row: Tensor, logit_bias: dict[int, float]) -> None:
    tokens = torch.tensor(list(logit_bias), device=row.device)
    row[tokens] += torch.tensor(list(logit_bias.values()), dtype=row.dtype, device=row.device)
