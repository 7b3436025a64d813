"""What this process may use of the machine: containers give less than /proc shows."""

import ctypes
import os
from contextlib import suppress

import psutil

from llm_api.engine import cgroup


def available_cores() -> int:
    """Cores by affinity and by the container's CPU limit, rounded up; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup.core_limit()
    return max(cores if limit is None else min(cores, limit), 1)


def available_memory() -> int:
    """Bytes that can be taken without swapping, within the container's memory limit."""
    available: int = psutil.virtual_memory().available
    left = cgroup.memory_left()
    return max(available if left is None else min(available, left), 0)


def return_free_memory() -> None:
    """To the system, what glibc keeps of what loading has freed: as much as a small model's weights. Other C libraries keep less."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
