"""Penalties, biases and bans, which change the logits of single tokens before temperature and truncation."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from llm_api.engine.sequence import Sequence

BANNED = -1e30  # finite, so that a token is left where everything is banned; far below any logit, also when divided by a temperature
EXCLUDED = 2 * BANNED  # not even then


def apply_penalties(logits: Tensor, sequences: list[Sequence]) -> list[int]:
    """Changes float32 `logits` [sequences, vocabulary] in place. Returns the rows that changed."""
    changed = []
    for row, sequence in enumerate(sequences):
        penalties = list(_penalties(sequence))
        for penalty in penalties:
            penalty(logits[row])
        if penalties:
            changed.append(row)
    return changed


def is_excluded(logit: Tensor) -> bool:
    """Whether the token is none of the sequence's allowed_token_ids, or completes one of its bad_words."""
    return bool(logit < 1.5 * BANNED)


def _penalties(sequence: Sequence) -> Iterator[Callable[[Tensor], None]]:
    sampling = sequence.sampling
    if sampling.repetition_penalty != 1:
        yield partial(_repetition, token_ids=sequence.token_ids, penalty=sampling.repetition_penalty)
    if sampling.frequency_penalty or sampling.presence_penalty:
        tokens = sequence.completion_token_ids
        yield partial(_frequency, token_ids=tokens, frequency=sampling.frequency_penalty, presence=sampling.presence_penalty)
    if sampling.logit_bias:
        yield partial(_bias, logit_bias=sampling.logit_bias)
    if sequence.num_completion < sampling.min_tokens and sequence.end_token_ids:
        yield partial(_ban, token_ids=sorted(sequence.end_token_ids))
    if sampling.allowed_token_ids:
        yield partial(_allow, token_ids=sampling.allowed_token_ids)
    if sequence.bad_words and (forbidden := sequence.bad_words.after(sequence.token_ids, sequence.num_prompt)):
        yield partial(_ban, token_ids=forbidden, value=EXCLUDED)


def _repetition(row: Tensor, token_ids: list[int], penalty: float) -> None:
    """Over prompt and completion, as in https://arxiv.org/abs/1909.05858 and transformers."""
    seen = torch.unique(torch.tensor(token_ids, device=row.device))
    logits = row[seen]
    row[seen] = torch.where(logits > 0, logits / penalty, logits * penalty)


def _frequency(row: Tensor, token_ids: list[int], frequency: float, presence: float) -> None:
    """Over the completion only, as in OpenAI's API: logit - count * frequency - (count > 0) * presence."""
    if token_ids:
        seen, counts = torch.unique(torch.tensor(token_ids, device=row.device), return_counts=True)
        row[seen] -= counts * frequency + presence


def _bias(row: Tensor, logit_bias: dict[int, float]) -> None:
    tokens = torch.tensor(list(logit_bias), device=row.device)
    row[tokens] += torch.tensor(list(logit_bias.values()), dtype=row.dtype, device=row.device)


def _ban(row: Tensor, token_ids: list[int], value: float = BANNED) -> None:
    row[torch.tensor([token for token in token_ids if token < len(row)], dtype=torch.int64, device=row.device)] = value


def _allow(row: Tensor, token_ids: list[int]) -> None:
    """Other tokens are banned more than any that `_ban` has banned."""
    allowed = torch.tensor(token_ids, device=row.device)
    logits = row[allowed].clone()
    row.fill_(EXCLUDED)
    row[allowed] = logits
