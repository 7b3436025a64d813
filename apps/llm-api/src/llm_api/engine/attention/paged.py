"""Attention by FlashAttention 2, which finds a sequence's blocks by its block table: one call for all rows of a step.

For GPUs, and none has run it yet; the tests put a slow stand-in under it (tests/engine/slow_varlen.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.attention.parts import clear_begun_blocks, put_block_tables
from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache

Varlen = Callable[..., Any]  # torch.nn.attention.varlen.varlen_attn


@dataclass(frozen=True, slots=True)
class PagedRows:
    """Where rows and contexts lie. Integer tensors on the cache's device; int32 but for `slots`, as the kernels want them."""

    slots: Tensor  # [rows], where a row's key and value go
    row_starts: Tensor  # [sequences + 1]
    context_lens: Tensor  # [sequences], the sequence's own rows included
    context_starts: Tensor  # [sequences + 1], the running sum of context_lens
    block_tables: Tensor  # [sequences, blocks]; of a shorter one only the first are read
    longest_run: int  # rows of a sequence


class PagedAttention:
    def __init__(self, cache: KVCache, varlen: Varlen) -> None:
        """`varlen`: torch's varlen_attn, which is not imported here because that takes seconds."""
        self.cache = cache
        self._varlen = varlen

    def step(self, batch: Batch) -> "PagedStep":
        clear_begun_blocks(self.cache, batch)
        return self.over(_rows(batch))

    def over(self, rows: PagedRows) -> "PagedStep":
        return PagedStep(self.cache, rows, self._varlen)


@dataclass(frozen=True, slots=True)
class PagedStep:
    cache: KVCache
    rows: PagedRows
    varlen: Varlen

    def attend(self, layer: int, query: Tensor, key_values: Tensor, options: AttentionOptions) -> Tensor:
        self.cache.write(layer, key_values, self.rows.slots)
        keys, values = self.cache.layer(layer).unbind(2)
        count = len(self.rows.slots)
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            attended: Tensor = self.varlen(
                query[:count],
                keys,
                values,
                self.rows.row_starts,
                self.rows.context_starts,
                self.rows.longest_run,
                self.rows.block_tables.shape[1] * self.cache.block_size,
                scale=options.scale,
                window_size=self._window(options),
                enable_gqa=True,
                seqused_k=self.rows.context_lens,
                block_table=self.rows.block_tables,
            )
        return attended if count == len(query) else pad(attended, (0, 0, 0, 0, 0, len(query) - count))

    def _window(self, options: AttentionOptions) -> tuple[int, int]:
        """Tokens before and after its own that a row sees; -1: all.

        A sequence's only row is its last: nothing comes after it. The kernel lets heads share what it reads of the cache, and
        divides long contexts, only if nothing is to be left out.
        """
        if options.sliding_window is not None:
            return options.sliding_window - 1, 0
        return (-1, -1) if self.rows.longest_run == 1 else (-1, 0)


def _rows(batch: Batch) -> PagedRows:
    device = batch.slots.device

    def tensor(values: list[int]) -> Tensor:
        return torch.from_numpy(np.array(values, np.int32)).to(device, non_blocking=True)

    contexts = [sequence.context_len for sequence in batch.sequences]
    tables = np.zeros((len(contexts), max(len(sequence.block_ids) for sequence in batch.sequences)), np.int32)
    put_block_tables(batch.sequences, tables)
    return PagedRows(
        slots=batch.slots,
        row_starts=tensor([0, *(sequence.end for sequence in batch.sequences)]),
        context_lens=tensor(contexts),
        context_starts=tensor(list(accumulate(contexts, initial=0))),
        block_tables=torch.from_numpy(tables).to(device, non_blocking=True),
        longest_run=max(sequence.end - sequence.start for sequence in batch.sequences),
    )
