"""Memory straight from the system, in large pages where it has them: a step reads all of it, and would miss the TLB at each page."""

import ctypes
import mmap
from contextlib import suppress

import numpy as np

LARGE_PAGE = 2 * 2**20
MADV_POPULATE_WRITE = 23  # Linux 5.14, <linux/mman.h>; Python has no name for it before 3.13


def zeroed_pages(size: int) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    """`size` bytes of zeros, which the system provides page by page at first use, or by `populate`.

    Private: memory that processes can share, which is mmap's default, gets no large pages. Raises MemoryError.
    """
    try:
        pages = mmap.mmap(-1, size + LARGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError) as error:
        raise MemoryError(f"the system has no {size / 2**30:.2f} GiB of memory: {error}") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without large pages
            pages.madvise(mmap.MADV_HUGEPAGE)
    memory = np.frombuffer(pages, np.uint8)
    start = -memory.ctypes.data % LARGE_PAGE
    return memory[start : start + size]


def populate(memory: "np.ndarray[tuple[int], np.dtype[np.uint8]]") -> bool:
    """Has the system provide these pages now. What is in them stays, also what another thread writes meanwhile.

    Python's other threads go on. False where the system does not know how.
    """
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return False
    before = memory.ctypes.data % mmap.PAGESIZE
    start, size = memory.ctypes.data - before, memory.nbytes + before
    status: int = ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_POPULATE_WRITE)
    return status == 0
