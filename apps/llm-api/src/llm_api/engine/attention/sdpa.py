"""Attention with torch's scaled_dot_product_attention over gathered blocks: works on any device without custom kernels.

Sequences that decode are computed in groups of similar context length, sequences that prefill one by one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from llm_api.engine.attention.backend import AttentionOptions, clear_new_partial_blocks, fill_block_tables
from llm_api.engine.attention.plain import plain_attention
from llm_api.engine.batch import Batch, SequenceRows
from llm_api.engine.kv_cache.storage import KVCache

SHORT_CONTEXT = 128  # tokens; below this, padding costs less than another call


@dataclass(frozen=True, slots=True)
class DecodeGroup:
    """Rows `start` to `end`, one per sequence, with contexts of similar length."""

    start: int
    end: int
    block_tables: Tensor  # [rows, blocks], padded with the row's own first block id
    context_lens: Tensor  # [rows], the row's own token included


@dataclass(frozen=True, slots=True)
class PrefillRun:
    """Rows `start` to `end`: the last `end - start` tokens of a sequence whose context has `context_len` tokens."""

    start: int
    end: int
    block_table: Tensor  # [blocks]
    context_len: int


class SdpaAttention:
    def __init__(self, cache: KVCache) -> None:
        self._cache = cache

    def step(self, batch: Batch) -> "SdpaStep":
        clear_new_partial_blocks(self._cache, batch)
        return SdpaStep(self._cache, batch)


class SdpaStep:
    """A batch divided into calls of torch's attention. The layers share the masks."""

    def __init__(self, cache: KVCache, batch: Batch) -> None:
        self._cache = cache
        self._slots = batch.slots
        self._masks: dict[tuple[int, int | None], Tensor] = {}
        self._decodes, self._prefills = decode_groups(batch, cache.block_size), prefill_runs(batch)

    def attend(self, layer: int, query: Tensor, key_values: Tensor, options: AttentionOptions) -> Tensor:
        self._cache.write(layer, key_values, self._slots)
        output = torch.empty_like(query)
        output[self._slots.shape[0] :] = 0
        for group in self._decodes:
            output[group.start : group.end] = self._decode(layer, query, group, options)
        for run in self._prefills:
            output[run.start : run.end] = self._prefill(layer, query, run, options)
        return output

    def _decode(self, layer: int, query: Tensor, group: DecodeGroup, options: AttentionOptions) -> Tensor:
        key, value = self._gather(layer, group.block_tables)
        rows, heads, dim = group.end - group.start, query.shape[1], query.shape[2]
        mask = self._mask_for(group, key, options.sliding_window)
        if not options.is_plain:
            own = query[group.start : group.end].unsqueeze(2)
            return plain_attention(own, key, value, mask, options).squeeze(2)
        # The heads that share a kv head take the place of query positions, so that keys and values need not be repeated.
        grouped = query[group.start : group.end].view(rows, key.shape[1], -1, dim)
        attended = scaled_dot_product_attention(grouped, key, value, attn_mask=mask, scale=options.scale)
        return attended.reshape(rows, heads, dim)

    def _prefill(self, layer: int, query: Tensor, run: PrefillRun, options: AttentionOptions) -> Tensor:
        key, value = self._gather(layer, run.block_table.unsqueeze(0))
        key, value = key[:, :, : run.context_len], value[:, :, : run.context_len]
        rows = query[run.start : run.end].transpose(0, 1).unsqueeze(0)
        if not options.is_plain:
            attended = plain_attention(rows, key, value, self._mask_for(run, key, options.sliding_window), options)
        elif run.end - run.start == run.context_len and options.sliding_window is None:
            attended = scaled_dot_product_attention(rows, key, value, is_causal=True, scale=options.scale, enable_gqa=True)
        else:
            mask = self._mask_for(run, key, options.sliding_window)
            attended = scaled_dot_product_attention(rows, key, value, attn_mask=mask, scale=options.scale, enable_gqa=True)
        return attended.squeeze(0).transpose(0, 1)

    def _gather(self, layer: int, block_tables: Tensor) -> tuple[Tensor, Tensor]:
        """[sequences, blocks] to keys and values, each [sequences, kv heads, blocks * block size, head dim]."""
        blocks = self._cache.layer(layer).index_select(0, block_tables.flatten())
        _, size, _, heads, dim = blocks.shape
        sequences, width = block_tables.shape
        pairs = blocks.view(sequences, width * size, 2, heads, dim)
        return pairs[:, :, 0].transpose(1, 2), pairs[:, :, 1].transpose(1, 2)

    def _mask_for(self, part: DecodeGroup | PrefillRun, key: Tensor, window: int | None) -> Tensor:
        mask = self._masks.get((part.start, window))
        if mask is None:
            mask = self._masks[part.start, window] = _mask(part, key, window)
        return mask


def _mask(part: DecodeGroup | PrefillRun, key: Tensor, window: int | None) -> Tensor:
    """0 where a row may attend, -inf elsewhere: [rows, 1, 1, context] for decodes, [rows, context] for a prefill."""
    if isinstance(part, DecodeGroup):
        last = part.context_lens.view(-1, 1, 1, 1) - 1
    else:
        first = part.context_len - (part.end - part.start)
        last = torch.arange(first, part.context_len, device=key.device).unsqueeze(1)
    position = torch.arange(key.shape[2], device=key.device)
    hidden = position > last
    if window is not None:
        hidden |= position <= last - window
    return torch.zeros(hidden.shape, dtype=key.dtype, device=key.device).masked_fill_(hidden, float("-inf"))


def decode_groups(batch: Batch, block_size: int) -> list[DecodeGroup]:
    decodes = [sequence for sequence in batch.sequences if sequence.end - sequence.start == 1]
    return [_decode_group(group, block_size, batch.slots.device) for group in _by_context(decodes)]


def prefill_runs(batch: Batch) -> list[PrefillRun]:
    return [_prefill_run(run, batch.slots.device) for run in batch.sequences if run.end - run.start > 1]


def _by_context(decodes: list[SequenceRows]) -> Iterator[list[SequenceRows]]:
    """Groups whose longest context is at most twice the shortest, so that padding at most doubles the work."""
    first = 0
    for position in range(1, len(decodes) + 1):
        if position == len(decodes) or decodes[position].context_len > 2 * max(decodes[first].context_len, SHORT_CONTEXT):
            yield decodes[first:position]
            first = position


def _decode_group(group: list[SequenceRows], block_size: int, device: torch.device) -> DecodeGroup:
    width = -(-group[-1].context_len // block_size)
    firsts = np.array([[sequence.block_ids[0]] for sequence in group], np.int64)
    tables = firsts.repeat(width, 1)  # another sequence's block may hold NaN, which passes a mask
    fill_block_tables(group, tables)
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
