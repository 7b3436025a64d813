"""The memory of the KV cache."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.pages import LARGE_PAGE, populate, zeroed_pages

SPARED = 1.25  # times what is still to be populated must be available


@dataclass(frozen=True, slots=True)
class KVCacheShape:
    """What one token needs in the cache."""

    num_layers: int
    num_kv_heads: int
    head_dim: int
    dtype: torch.dtype

    @property
    def bytes_per_token(self) -> int:
        return 2 * self.num_layers * self.num_kv_heads * self.head_dim * self.dtype.itemsize


class KVCache:
    """Per layer a tensor [blocks + 1, block size, 2, kv heads, head dim]: a token's key beside its value."""

    def __init__(self, shape: KVCacheShape, num_blocks: int, block_size: int, device: torch.device) -> None:
        size = (shape.num_layers, num_blocks + 1, block_size, 2, shape.num_kv_heads, shape.head_dim)
        # Zeros, not empty: masked positions get weight 0, and 0 times a stray NaN is NaN.
        self._pages = zeroed_pages(math.prod(size) * shape.dtype.itemsize) if device.type == "cpu" else None
        if self._pages is None:
            self._storage = torch.zeros(size, dtype=shape.dtype, device=device)
        else:
            self._storage = torch.from_numpy(self._pages).view(shape.dtype).view(size)
        self._layers = self._storage.unbind(0)
        self.shape = shape
        self.device = device
        self.num_blocks = num_blocks
        self.padding_block = num_blocks  # no sequence's: rows of padding that must write somewhere write there
        self.block_size = block_size

    def layer(self, layer: int) -> Tensor:
        return self._layers[layer]

    def write(self, layer: int, key_values: Tensor, slots: Tensor) -> None:
        """Stores `key_values` [rows, 2, kv heads, head dim] in the rows' slots; those without one, padding, go nowhere."""
        self._layers[layer].flatten(0, 1).index_copy_(0, slots, key_values[: slots.shape[0]])

    def clear(self, block_ids: list[int]) -> None:
        """Zeroes blocks that attention will read beyond what their sequence has written."""
        if block_ids:
            self._storage.index_fill_(1, torch.tensor(block_ids).to(self.device, non_blocking=True), 0)

    def populate(self, available_memory: Callable[[], int]) -> None:
        """Has the system provide a CPU's cache ahead of use, in the order in which blocks are first handed out.

        A large page takes a fraction of a millisecond, and milliseconds on some virtual machines; every layer needs one when
        a block begins one. It ends early where memory has become scarce, as others took some since the cache's size was
        chosen, or as that was set to nearly all: what is missing then comes at first use.
        """
        if self._pages is None:
            return
        layers = np.split(self._pages, len(self._layers))
        for start in range(0, layers[0].size, LARGE_PAGE):
            missing = self._pages.size - start * len(layers)
            if available_memory() < SPARED * missing or not all(populate(layer[start : start + LARGE_PAGE]) for layer in layers):
                return
