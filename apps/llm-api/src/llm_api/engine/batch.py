"""One step's work as tensors: a row per token, whether it prefills or decodes."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.scheduler import Chunk

SMALL_COUNT = 8
PADDING_STEPS = ((64, 8), (256, 32))  # up to a count, in steps of
LARGEST_STEP = 64
SHORT_CONTEXT = 128  # below this, padding is cheaper than another call


@dataclass(frozen=True, slots=True)
class DecodeGroup:
    """Rows `start` to `end`, one per sequence, whose contexts are of similar length."""

    start: int
    end: int
    block_tables: Tensor  # [rows, blocks], padded with the row's own first block
    context_lens: Tensor  # [rows], the row's own token included


@dataclass(frozen=True, slots=True)
class PrefillRun:
    """Rows `start` to `end`: one sequence's tokens, the last `end - start` of its `context_len`."""

    start: int
    end: int
    block_table: Tensor  # [blocks]
    context_len: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The row format that every model and attention backend takes. Integer tensors are int64.

    Rows and outputs are padded to one of few counts (`padded`). What a padding row computes is thrown away.
    """

    token_ids: Tensor  # [rows]
    positions: Tensor  # [rows]
    slots: Tensor  # [rows before the padding], where a row's key and value go: block * block size + offset
    decodes: list[DecodeGroup]
    prefills: list[PrefillRun]
    logits_rows: Tensor  # [outputs], the rows whose logits are wanted

    @property
    def num_rows(self) -> int:
        """Without the padding."""
        return self.slots.shape[0]


@dataclass(frozen=True, slots=True)
class LogitsSpan:
    """The part of a batch's logits, `start` to `end`, that belongs to a chunk: its last row's, or all rows'."""

    chunk: Chunk
    start: int
    end: int


def build_batch(chunks: list[Chunk], block_size: int, device: torch.device) -> tuple[Batch, list[LogitsSpan]]:
    """Lays the chunks out as rows: single tokens first, by length of context, then the longer runs."""
    decodes = sorted((c for c in chunks if c.length == 1), key=lambda c: c.end)
    prefills = [c for c in chunks if c.length > 1]
    ordered = decodes + prefills
    logits_rows, spans = _logits_rows(ordered)

    def tensor(values: list[int], count: int) -> Tensor:
        filled = np.zeros(count, np.int64)
        filled[: len(values)] = values
        return torch.from_numpy(filled).to(device, non_blocking=True)

    slots = [slot for c in ordered for slot in _slots(c, block_size)]
    rows = padded(len(slots))

    batch = Batch(
        token_ids=tensor([token for c in ordered for token in c.sequence.token_ids[c.start : c.end]], rows),
        positions=tensor([position for c in ordered for position in range(c.start, c.end)], rows),
        slots=tensor(slots, len(slots)),
        decodes=[_decode_group(group, first, block_size, device) for first, group in _similar(decodes)],
        prefills=_prefill_runs(prefills, len(decodes), device),
        logits_rows=tensor(logits_rows, padded(len(logits_rows))),
    )
    return batch, spans


def padded(count: int) -> int:
    """The next of 1, 2, 4, 8, 16, 24 ... 64, 96 ... 256, 320 ...: kernels are made, and kept, for each count they meet."""
    if count <= SMALL_COUNT:
        return 1 << max(count - 1, 0).bit_length()
    step = next((step for limit, step in PADDING_STEPS if count <= limit), LARGEST_STEP)
    return -(-count // step) * step


def _slots(chunk: Chunk, block_size: int) -> list[int]:
    blocks = chunk.sequence.block_ids
    return [blocks[p // block_size] * block_size + p % block_size for p in range(chunk.start, chunk.end)]


def begun_blocks(chunks: list[Chunk], block_size: int) -> list[int]:
    """Blocks that the chunks begin to fill and leave partly as their last owner left them."""
    lasts = [(c, c.end // block_size) for c in chunks if c.end % block_size]
    return [c.sequence.block_ids[last] for c, last in lasts if c.start <= last * block_size]


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


def _similar(decodes: list[Chunk]) -> Iterator[tuple[int, list[Chunk]]]:
    """Groups whose longest context is at most twice the shortest: padding must not cost more than the work."""
    first = 0
    for position in range(1, len(decodes) + 1):
        if position == len(decodes) or decodes[position].end > 2 * max(decodes[first].end, SHORT_CONTEXT):
            yield first, decodes[first:position]
            first = position


def _decode_group(group: list[Chunk], first: int, block_size: int, device: torch.device) -> DecodeGroup:
    width = -(-group[-1].end // block_size)
    tables = np.zeros((len(group), width), np.int64)
    for row, chunk in enumerate(group):
        blocks = chunk.sequence.block_ids
        tables[row] = blocks[0]  # a neighbour's may hold NaN, which a mask does not stop
        tables[row, : len(blocks)] = blocks
    lengths = np.array([chunk.end for chunk in group], np.int64)
    return DecodeGroup(
        start=first,
        end=first + len(group),
        block_tables=torch.from_numpy(tables).to(device, non_blocking=True),
        context_lens=torch.from_numpy(lengths).to(device, non_blocking=True),
    )


def _prefill_runs(prefills: list[Chunk], row: int, device: torch.device) -> list[PrefillRun]:
    runs = []
    for chunk in prefills:
        table = torch.from_numpy(np.array(chunk.sequence.block_ids, np.int64)).to(device, non_blocking=True)
        runs.append(PrefillRun(row, row + chunk.length, table, chunk.end))
        row += chunk.length
    return runs
