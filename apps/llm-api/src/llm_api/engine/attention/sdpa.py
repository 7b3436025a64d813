"""Attention by torch's scaled_dot_product_attention over gathered blocks: any device, no kernels of our own."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.attention.parts import DecodeGroup, PrefillRun, clear_begun_blocks, decode_groups, prefill_runs
from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache


class SdpaAttention:
    def __init__(self, cache: KVCache) -> None:
        self._cache = cache

    def step(self, batch: Batch) -> "SdpaStep":
        clear_begun_blocks(self._cache, batch)
        return SdpaStep(self._cache, batch)


class SdpaStep:
    """A batch, divided into calls of torch's attention; the layers share the masks."""

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
        # The heads that share a kv head stand in for a query's positions, which spares repeating keys and values.
        grouped = query[group.start : group.end].view(rows, key.shape[1], -1, dim)
        mask = self._mask(group, key, options.sliding_window)
        attended = scaled_dot_product_attention(grouped, key, value, attn_mask=mask, scale=options.scale)
        return attended.reshape(rows, heads, dim)

    def _prefill(self, layer: int, query: Tensor, run: PrefillRun, options: AttentionOptions) -> Tensor:
        key, value = self._gather(layer, run.block_table.unsqueeze(0))
        key, value = key[:, :, : run.context_len], value[:, :, : run.context_len]
        rows = query[run.start : run.end].transpose(0, 1).unsqueeze(0)
        if run.end - run.start == run.context_len and options.sliding_window is None:
            attended = scaled_dot_product_attention(rows, key, value, is_causal=True, scale=options.scale, enable_gqa=True)
        else:
            mask = self._mask(run, key, options.sliding_window)
            attended = scaled_dot_product_attention(rows, key, value, attn_mask=mask, scale=options.scale, enable_gqa=True)
        return attended.squeeze(0).transpose(0, 1)

    def _gather(self, layer: int, block_tables: Tensor) -> tuple[Tensor, Tensor]:
        """[sequences, blocks] to keys and values, each [sequences, kv heads, blocks * block size, head dim]."""
        blocks = self._cache.layer(layer).index_select(0, block_tables.flatten())
        _, size, _, heads, dim = blocks.shape
        sequences, width = block_tables.shape
        pairs = blocks.view(sequences, width * size, 2, heads, dim)
        return pairs[:, :, 0].transpose(1, 2), pairs[:, :, 1].transpose(1, 2)

    def _mask(self, part: DecodeGroup | PrefillRun, key: Tensor, window: int | None) -> Tensor:
        known = self._masks.get((part.start, window))
        if known is None:
            known = self._masks[part.start, window] = _mask(part, key, window)
        return known


def _mask(part: DecodeGroup | PrefillRun, key: Tensor, window: int | None) -> Tensor:
    """0 where a row may look, -inf where not: [rows, 1, 1, context] to decode, [rows, context] to prefill."""
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
