"""A step's sequences as torch's attention takes them: those that decode in groups, those that prefill one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.batch import Batch, SequenceRows
from llm_api.engine.kv_cache.storage import KVCache

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


def clear_begun_blocks(cache: KVCache, batch: Batch) -> None:
    """Those that the batch begins to fill and leaves partly as their last owner left them.

    What is stale there is masked, but NaN, which a poisonous sequence may have left, comes through any mask.
    """
    block_size = cache.block_size
    lasts = [(s, s.context_len // block_size) for s in batch.sequences if s.context_len % block_size]
    cache.clear([s.block_ids[last] for s, last in lasts if s.context_len - (s.end - s.start) <= last * block_size])


def put_block_tables(sequences: list[SequenceRows], tables: "np.ndarray[Any, np.dtype[Any]]") -> None:
    """A sequence's blocks to the front of its row of `tables`; the rest stays."""
    for row, sequence in enumerate(sequences):
        tables[row, : len(sequence.block_ids)] = sequence.block_ids


def decode_groups(batch: Batch, block_size: int) -> list[DecodeGroup]:
    decodes = [sequence for sequence in batch.sequences if sequence.end - sequence.start == 1]
    return [_decode_group(group, block_size, batch.slots.device) for group in _similar(decodes)]


def prefill_runs(batch: Batch) -> list[PrefillRun]:
    return [_prefill_run(run, batch.slots.device) for run in batch.sequences if run.end - run.start > 1]


def _similar(decodes: list[SequenceRows]) -> Iterator[list[SequenceRows]]:
    """Groups whose longest context is at most twice the shortest: padding must not cost more than the work."""
    first = 0
    for position in range(1, len(decodes) + 1):
        if position == len(decodes) or decodes[position].context_len > 2 * max(decodes[first].context_len, SHORT_CONTEXT):
            yield decodes[first:position]
            first = position


def _decode_group(group: list[SequenceRows], block_size: int, device: torch.device) -> DecodeGroup:
    width = -(-group[-1].context_len // block_size)
    firsts = np.array([[sequence.block_ids[0]] for sequence in group], np.int64)
    tables = firsts.repeat(width, 1)  # a neighbour's may hold NaN, which a mask does not stop
    put_block_tables(group, tables)
    lengths = np.array([sequence.context_len for sequence in group], np.int64)
    return DecodeGroup(
        start=group[0].start,
        end=group[-1].end,
        block_tables=torch.from_numpy(tables).to(device, non_blocking=True),
        context_lens=torch.from_numpy(lengths).to(device, non_blocking=True),
    )


def _prefill_run(run: SequenceRows, device: torch.device) -> PrefillRun:
    table = torch.from_numpy(np.array(run.block_ids, np.int64)).to(device, non_blocking=True)
    return PrefillRun(run.start, run.end, table, run.context_len)
