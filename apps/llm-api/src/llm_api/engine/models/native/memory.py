"""Memory for weights, in large pages where the system has them: a step reads all of it, and would miss the TLB at each page."""

import mmap

import numpy as np
import torch
from torch import Tensor

PART = 32 * 2**20  # bytes asked for at once; what is not used is never touched
LARGE_PAGE = 2 * 2**20
ALIGNMENT = 64  # a cache line


class Arena:
    def __init__(self) -> None:
        self._free = np.empty(0, np.uint8)

    def take(self, size: int) -> Tensor:
        """`size` bytes, uninitialised."""
        if self._free.size < size:
            self._free = _pages(max(size, PART))
        taken, self._free = self._free[:size], self._free[size + -size % ALIGNMENT :]
        return torch.from_numpy(taken)


def _pages(size: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """Private: memory that processes can share, which is mmap's default, gets no large pages."""
    pages = mmap.mmap(-1, size + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(pages, np.uint8)
    start = -memory.ctypes.data % LARGE_PAGE
    return memory[start : start + size]
