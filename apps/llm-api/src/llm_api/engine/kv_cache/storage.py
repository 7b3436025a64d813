"""The memory of the KV cache."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


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
        self._storage = _zeros(size, shape.dtype, device)
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
            self._storage.index_fill_(1, torch.tensor(block_ids).to(self._storage.device, non_blocking=True), 0)


def _zeros(size: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros, not empty: masked positions get weight 0, and 0 times a stray NaN is NaN.

    On a CPU numpy's zeros are pages that the kernel provides at first use; torch would touch them all.
    """
    if device.type != "cpu":
        return torch.zeros(size, dtype=dtype, device=device)
    pages = np.zeros(math.prod(size) * dtype.itemsize, np.uint8)
    return torch.from_numpy(pages).view(dtype).view(size)
