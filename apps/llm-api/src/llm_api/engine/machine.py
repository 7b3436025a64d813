"""What this process may use of the machine: containers give less than /proc shows."""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Cores by affinity and by the container's CPU limit, rounded up; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _read("cpu.max").split()
    if len(quota) == 2 and quota[0] != "max":
        cores = min(cores, -(-int(quota[0]) // int(quota[1])))
    return max(cores, 1)


def available_memory() -> int:
    """Bytes that can be taken without swapping, within the container's memory limit."""
    available: int = psutil.virtual_memory().available
    limit = _read("memory.max")
    if limit.isdigit():
        used = int(_read("memory.current") or 0) - _reclaimable()
        available = min(available, int(limit) - used)
    return max(available, 0)


def _reclaimable() -> int:
    """Page cache counts as used in a cgroup, but gives way."""
    return sum(int(line.split()[1]) for line in _read("memory.stat").splitlines() if line.startswith("inactive_file "))


def _read(name: str) -> str:
    """Of this process's own cgroup: in a container that is the root of what it sees, for a system's service it is not."""
    for folder in (_own_cgroup(), CGROUP):
        with suppress(OSError):
            return (folder / name).read_text().strip()
    return ""


def _own_cgroup() -> Path:
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            if line.startswith("0::"):
                return CGROUP / line.removeprefix("0::").lstrip("/")
    return CGROUP


def return_free_memory() -> None:
    """To the system, what glibc keeps of what loading has freed: as much as a small model's weights. Other C libraries keep less."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
