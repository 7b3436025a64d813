"""The chunks of a step as tensors: one row per token, for prefill and decode alike."""

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.sequence import Chunk

SMALL_COUNT = 8
PADDING_STEPS = ((64, 8), (256, 32))  # (up to this count, in steps of)
LARGEST_STEP = 64


@dataclass(frozen=True, slots=True)
class SequenceRows:
    """Rows `start` to `end` of a batch: the last `end - start` tokens of a sequence whose context has `context_len` tokens."""

    start: int
    end: int
    block_ids: list[int]
    context_len: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of every model and attention backend. Integer tensors are int64.

    Rows and outputs are padded to one of a few counts (`padded`); the results of padding rows are ignored. Decodes come first, in
    order of context length, then prefills.
    """

    token_ids: Tensor  # [rows]
    positions: Tensor  # [rows]
    slots: Tensor  # [rows without padding], where a row's key and value are stored: block * block size + offset
    sequences: list[SequenceRows]
    logits_rows: Tensor  # [outputs], the rows whose logits are needed
    num_outputs: int  # without padding

    @property
    def num_rows(self) -> int:
        """Without padding."""
        return self.slots.shape[0]


@dataclass(frozen=True, slots=True)
class LogitsSpan:
    """Logits `start` to `end` of a batch belong to this chunk: those of its last row, or of all its rows."""

    chunk: Chunk
    start: int
    end: int


def build_batch(chunks: list[Chunk], block_size: int, device: torch.device) -> tuple[Batch, list[LogitsSpan]]:
    ordered = sorted((c for c in chunks if c.length == 1), key=lambda c: c.end) + [c for c in chunks if c.length > 1]
    logits_rows, spans = _logits_rows(ordered)

    def tensor(values: list[int], count: int) -> Tensor:
        filled = np.zeros(count, np.int64)
        filled[: len(values)] = values
        return torch.from_numpy(filled).to(device, non_blocking=True)

    slots = [slot for c in ordered for slot in slots_of(c.sequence.block_ids, range(c.start, c.end), block_size)]
    rows = padded(len(slots))

    batch = Batch(
        token_ids=tensor([token for c in ordered for token in c.sequence.token_ids[c.start : c.end]], rows),
        positions=tensor([position for c in ordered for position in range(c.start, c.end)], rows),
        slots=tensor(slots, len(slots)),
        sequences=_sequences(ordered),
        logits_rows=tensor(logits_rows, padded(len(logits_rows))),
        num_outputs=len(logits_rows),
    )
    return batch, spans


def padded(count: int) -> int:
    """The next of 1, 2, 4, 8, 16, 24 ... 64, 96 ... 256, 320 ...: libraries compile and cache a kernel for every new count."""
    if count <= SMALL_COUNT:
        return 1 << max(count - 1, 0).bit_length()
    step = next((step for limit, step in PADDING_STEPS if count <= limit), LARGEST_STEP)
    return -(-count // step) * step


def slots_of(block_ids: list[int], positions: range, block_size: int) -> list[int]:
    """The cache slots of a sequence's tokens at these positions."""
    return [block_ids[p // block_size] * block_size + p % block_size for p in positions]


def _logits_rows(ordered: list[Chunk]) -> tuple[list[int], list[LogitsSpan]]:
    rows: list[int] = []
    spans: list[LogitsSpan] = []
    row = 0
    for chunk in ordered:
        row += chunk.length
        wanted = chunk.length if chunk.sequence.wants_prompt_logprobs else int(chunk.completes)
        if wanted:
            spans.append(LogitsSpan(chunk, len(rows), len(rows) + wanted))
            rows += range(row - wanted, row)
    return rows, spans


def _sequences(ordered: list[Chunk]) -> list[SequenceRows]:
    ends = list(accumulate(chunk.length for chunk in ordered))
    return [SequenceRows(end - c.length, end, c.sequence.block_ids, c.end) for c, end in zip(ordered, ends, strict=True)]
