"""Memory for weights."""

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.pages import zeroed_pages

PART = 32 * 2**20  # bytes asked for at once; what is not used is never touched
ALIGNMENT = 64  # a cache line


class Arena:
    def __init__(self) -> None:
        self._free = np.empty(0, np.uint8)

    def take(self, size: int) -> Tensor:
        """`size` bytes, in large pages where the system has them."""
        if self._free.size < size:
            self._free = zeroed_pages(max(size, PART))
        taken, self._free = self._free[:size], self._free[size + -size % ALIGNMENT :]
        return torch.from_numpy(taken)
