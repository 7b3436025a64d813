"""The interface between models and attention backends, and helpers that the backends share."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from llm_api.engine.batch import Batch, SequenceRows
from llm_api.engine.kv_cache.storage import KVCache


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """The parameters of attention that can differ between the layers of a model."""

    scale: float
    sliding_window: int | None = None  # a token attends to itself and the `sliding_window - 1` tokens before it
    softcap: float | None = None  # scores become softcap * tanh(score / softcap). Only SdpaAttention computes this and the next one
    sinks: Tensor | None = None  # [heads], a score per head that takes weight from the tokens

    @property
    def is_plain(self) -> bool:
        """Whether torch's scaled_dot_product_attention can compute it."""
        return self.softcap is None and self.sinks is None


class StepAttention(Protocol):
    """Attention over the rows of one step, for every layer of the model."""

    def attend(self, layer: int, query: Tensor, key_values: Tensor, options: AttentionOptions) -> Tensor:
        """Writes the rows' keys and values to the cache, then computes causal attention of each row over its own sequence.

        query [rows, heads, head dim], key_values [rows, 2, kv heads, head dim]; returns [rows, heads, head dim].
        Neighbouring heads share a kv head (grouped-query attention). The output of padding rows is unspecified.
        """
        ...


class AttentionBackend(Protocol):
    def step(self, batch: Batch) -> StepAttention:
        """Prepares, once per step, the metadata that all layers share."""
        ...


def clear_new_partial_blocks(cache: KVCache, batch: Batch) -> None:
    """Zeroes the last block of each sequence if the batch starts to fill it and does not complete it.

    Attention masks the stale rest of such a block. But NaN, which its previous sequence may have left there, passes every mask.
    """
    block_size = cache.block_size
    partial = [(s, s.context_len // block_size) for s in batch.sequences if s.context_len % block_size]
    cache.clear([s.block_ids[last] for s, last in partial if s.context_len - (s.end - s.start) <= last * block_size])


def fill_block_tables(sequences: list[SequenceRows], tables: "np.ndarray[Any, np.dtype[Any]]") -> None:
    """Writes each sequence's block ids to the start of its row of `tables`. Leaves the rest of the row unchanged."""
    for row, sequence in enumerate(sequences):
        tables[row, : len(sequence.block_ids)] = sequence.block_ids
