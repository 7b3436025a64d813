"""Allocates weights and KV cache in huge pages where the system has them, and returns free memory to the system.

A step reads all weights; with small pages nearly every page would miss the TLB.
"""

import ctypes
import mmap
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

HUGE_PAGE = 2 * 2**20  # bytes
MADV_POPULATE_WRITE = 23  # Linux 5.14, <linux/mman.h>; Python has the constant since 3.13
ARENA_BYTES = 32 * 2**20  # allocated at once; pages that are never touched take no memory
ALIGNMENT = 64  # a cache line


def zeroed_pages(size: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """`size` bytes of zeros. The system provides a page on its first use, or in `populate`.

    The mapping is private: shared memory, which is mmap's default, gets no huge pages. Raises MemoryError.
    """
    try:
        pages = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"the system cannot allocate {size / 2**30:.2f} GiB of memory: {error}") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without huge pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(pages, np.uint8)
    start = -memory.ctypes.data % HUGE_PAGE
    return memory[start : start + size]


def populate(memory: "np.ndarray[tuple[int], np.dtype[np.uint8]]") -> bool:
    """Makes the system provide these pages now. Keeps their contents, also what another thread writes meanwhile.

    Releases the GIL. Returns False where the system does not support it.
    """
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    before = memory.ctypes.data % mmap.PAGESIZE
    start, size = memory.ctypes.data - before, memory.nbytes + before
    status: int = ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_POPULATE_WRITE)
    return status == 0


class Arena:
    """Allocates tensors one after the other from large mappings, so that small ones share huge pages."""

    def __init__(self) -> None:
        self._free = np.empty(0, np.uint8)

    def allocate(self, size: int) -> Tensor:
        """uint8 [size], aligned to a cache line."""
        if self._free.size < size:
            self._free = zeroed_pages(max(size, ARENA_BYTES))
        taken, self._free = self._free[:size], self._free[size + -size % ALIGNMENT :]
        return torch.from_numpy(taken)


def return_free_memory() -> None:
    """Returns glibc's free heap memory to the system: after loading, as much as a small model's weights. Other C libraries keep less."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
