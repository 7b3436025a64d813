"""The tensors of the KV cache."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.memory import HUGE_PAGE, populate, zeroed_pages

MEMORY_RESERVE = 1.25  # populating continues while this many times the missing memory is available


@dataclass(frozen=True, slots=True)
class KVCacheShape:
    """The size of one token in the cache."""

    num_layers: int
    num_kv_heads: int
    head_dim: int
    dtype: torch.dtype

    @property
    def bytes_per_token(self) -> int:
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * self.dtype.itemsize


class KVCache:
    """One tensor per layer: [blocks + 1, block size, 2, kv heads, head dim]. A token's key is next to its value."""

    def __init__(self, shape: KVCacheShape, num_blocks: int, block_size: int, device: torch.device) -> None:
        size = (shape.num_layers, num_blocks + 1, block_size, 2, shape.num_kv_heads, shape.head_dim)
        # Zeros, not empty: masked positions get weight 0, and 0 times NaN is NaN.
        self._pages = zeroed_pages(math.prod(size) * shape.dtype.itemsize) if device.type == "cpu" else None
        if self._pages is None:
            self._storage = torch.zeros(size, dtype=shape.dtype, device=device)
        else:
            self._storage = torch.from_numpy(self._pages).view(shape.dtype).view(size)
        self._layers = self._storage.unbind(0)
        self.shape = shape
        self.device = device
        self.num_blocks = num_blocks
        self.padding_block = num_blocks  # belongs to no sequence: padding rows that must write to a slot write here
        self.block_size = block_size

    def layer(self, layer: int) -> Tensor:
        return self._layers[layer]

    def write(self, layer: int, key_values: Tensor, slots: Tensor) -> None:
        """Stores `key_values` [rows, 2, kv heads, head dim] in the rows' slots. Padding rows have no slot and are not stored."""
        self._layers[layer].flatten(0, 1).index_copy_(0, slots, key_values[: slots.shape[0]])

    def clear(self, block_ids: list[int]) -> None:
        """Zeroes blocks."""
        if block_ids:
            self._storage.index_fill_(1, torch.tensor(block_ids).to(self.device, non_blocking=True), 0)

    def populate(self, available_memory: Callable[[], int]) -> None:
        """Makes the system provide a CPU cache's memory before its first use, in the order in which blocks are first allocated.

        A huge page takes a fraction of a millisecond, and milliseconds on some virtual machines; a block at the start of a page
        needs one in every layer. Stops early when memory is scarce: other processes have taken some since the cache's size was
        chosen, or the size was set to nearly all of it. The remaining pages are then provided on first use.
        """
        if self._pages is None:
            return
        layers = np.split(self._pages, len(self._layers))
        for start in range(0, layers[0].size, HUGE_PAGE):
            missing = self._pages.size - start * len(layers)
            if available_memory() < MEMORY_RESERVE * missing or not all(populate(layer[start : start + HUGE_PAGE]) for layer in layers):
                return
