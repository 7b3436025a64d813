"""The cores and the memory that this process may use: the machine's, within the limits of its cgroups (versions 1 and 2).

https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil

CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")
UNIFIED = ""  # the controller's name in CGROUP_MEMBERSHIP for version 2


def available_cores() -> int:
    """Cores by CPU affinity and by the container's CPU limit, rounded up; at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _lowest(UNIFIED, _cores_v2) or _lowest("cpu", _cores_v1)
    return max(cores if limit is None else min(cores, limit), 1)


def available_memory() -> int:
    """Bytes that can be allocated without swapping, within the container's memory limit."""
    available: int = psutil.virtual_memory().available
    left = _lowest(UNIFIED, _memory_v2)
    if left is None:
        left = _lowest("memory", _memory_v1)
    return max(available if left is None else min(available, left), 0)


def _cores_v2(folder: Path) -> int | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return _cores(quota, period)


def _cores_v1(folder: Path) -> int | None:
    return _cores(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _cores(quota: str, period: str) -> int | None:
    return -(-int(quota) // int(period)) if quota.isdigit() and period.isdigit() else None  # "max" and "-1" mean no limit


def _memory_v2(folder: Path) -> int | None:
    return _memory(folder, "memory.max", "memory.current", "inactive_file")


def _memory_v1(folder: Path) -> int | None:
    return _memory(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def _memory(folder: Path, limit: str, usage: str, page_cache: str) -> int | None:
    """Bytes left up to the limit. The usage includes page cache, which the kernel can reclaim."""
    limit_bytes = _read(folder / limit)
    if not limit_bytes.isdigit():
        return None
    lines = [line.split() for line in _read(folder / "memory.stat").splitlines()]
    reclaimable = sum(int(line[1]) for line in lines if line[0] == page_cache)
    return int(limit_bytes) - int(_read(folder / usage) or 0) + reclaimable


def _lowest(controller: str, read: Callable[[Path], int | None]) -> int | None:
    """The lowest value in the process's cgroup and its ancestors. None: no limit."""
    return min((value for folder in _folders(controller) if (value := read(folder)) is not None), default=None)


def _folders(controller: str) -> Iterator[Path]:
    """The process's cgroup and its ancestors. A container sees its own cgroup as the root, whatever its path."""
    top = CGROUP_ROOT / controller
    own = top / _path(controller)
    return (folder for folder in (own, *own.parents) if folder == top or top in folder.parents)


def _path(controller: str) -> str:
    for line in _read(CGROUP_MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    return ""


def _read(file: Path) -> str:
    """The file's text; empty when there is no such file."""
    with suppress(OSError):
        return file.read_text().strip()
    return ""
