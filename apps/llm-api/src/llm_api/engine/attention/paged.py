"""Paged attention with FlashAttention 2 through torch's varlen_attn: one call per layer for all rows of a step.

For GPUs. It has not run on a GPU yet; the tests replace the kernel with a slow substitute (tests/engine/slow_varlen.py).

varlen_attn can also use cuDNN, which accepts any block size that is a power of two. But cuDNN builds a plan for every new shape of
rows, sequences and block tables, and keeps them all.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import pad

from llm_api.engine.attention.backend import AttentionOptions, clear_new_partial_blocks, fill_block_tables
from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache

BLOCK_MULTIPLE = 256  # https://github.com/Dao-AILab/flash-attention/issues/828
SMALL_BLOCK = 16  # shares prefixes in smaller units and wastes fewer slots

VarlenAttention = Callable[..., Any]  # torch.nn.attention.varlen.varlen_attn


def can_page(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    """Whether FlashAttention 2 can read a paged cache on this device."""
    if device.type != "cuda" or dtype not in {torch.bfloat16, torch.float16} or head_dim % 8 or head_dim > 256:
        return False
    from torch.nn.attention.varlen import varlen_attn  # takes seconds to import, so only where it may be used

    major, _ = torch.cuda.get_device_capability(device)
    return major >= 8 and "block_table" in inspect.signature(varlen_attn).parameters  # torch before 2.12 has no block_table


def default_block_size(*, pages: bool) -> int:
    return BLOCK_MULTIPLE if pages else SMALL_BLOCK


@dataclass(frozen=True, slots=True)
class PagedRows:
    """The kernel's view of a step. Integer tensors on the cache's device: `slots` int64, the others int32 as the kernel requires."""

    slots: Tensor  # [rows], where a row's key and value are stored
    row_starts: Tensor  # [sequences + 1]
    context_lens: Tensor  # [sequences], the sequence's own rows included
    context_starts: Tensor  # [sequences + 1], the running sum of context_lens
    block_tables: Tensor  # [sequences, blocks]; entries beyond a sequence's blocks are not read
    longest_run: int  # most rows of a sequence


class PagedAttention:
    def __init__(self, cache: KVCache, varlen: VarlenAttention) -> None:
        """`varlen`: torch's varlen_attn. Passed in, because its import takes seconds."""
        self.cache = cache
        self._varlen = varlen

    def step(self, batch: Batch) -> "PagedStep":
        clear_new_partial_blocks(self.cache, batch)
        return self.over(_paged_rows(batch))

    def over(self, rows: PagedRows) -> "PagedStep":
        return PagedStep(self.cache, rows, self._varlen)


@dataclass(frozen=True, slots=True)
class PagedStep:
    cache: KVCache
    rows: PagedRows
    varlen: VarlenAttention

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
        """How many tokens before and after its own a row attends to; -1: all.

        The only row of a decoding sequence is its last token, so (-1, -1) is causal too. Only without a mask does the kernel share
        loaded keys between heads and split long contexts.
        """
        if options.sliding_window is not None:
            return options.sliding_window - 1, 0
        return (-1, -1) if self.rows.longest_run == 1 else (-1, 0)


def _paged_rows(batch: Batch) -> PagedRows:
    device = batch.slots.device

    def tensor(values: list[int]) -> Tensor:
        return torch.from_numpy(np.array(values, np.int32)).to(device, non_blocking=True)

    contexts = [sequence.context_len for sequence in batch.sequences]
    tables = np.zeros((len(contexts), max(len(sequence.block_ids) for sequence in batch.sequences)), np.int32)
    fill_block_tables(batch.sequences, tables)
    return PagedRows(
        slots=batch.slots,
        row_starts=tensor([0, *(sequence.end for sequence in batch.sequences)]),
        context_lens=tensor(contexts),
        context_starts=tensor(list(accumulate(contexts, initial=0))),
        block_tables=torch.from_numpy(tables).to(device, non_blocking=True),
        longest_run=max(sequence.end - sequence.start for sequence in batch.sequences),
    )
