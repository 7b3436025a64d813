"""What the process's cgroup and those above it leave of the machine; by either version of the interface.

https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNIFIED = ""  # the controller, as MEMBERSHIP names it, of all that version 2 controls


def core_limit() -> int | None:
    """Cores' worth of time, rounded up. None: no limit."""
    return _least(UNIFIED, _cores) or _least("cpu", _cores_of_version_1)


def memory_left() -> int | None:
    """Bytes up to the limit. None: no limit."""
    left = _least(UNIFIED, lambda folder: _memory(folder, "memory.max", "memory.current", "inactive_file"))
    if left is None:
        left = _least("memory", lambda folder: _memory(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"))
    return left


def _cores(folder: Path) -> int | None:
    quota, _, period = _read(folder / "cpu.max").partition(" ")
    return _quotient(quota, period)


def _cores_of_version_1(folder: Path) -> int | None:
    return _quotient(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _quotient(quota: str, period: str) -> int | None:
    return -(-int(quota) // int(period)) if quota.isdigit() and period.isdigit() else None  # without a limit it is "max", or "-1"


def _memory(folder: Path, limit: str, usage: str, page_cache: str) -> int | None:
    """Page cache counts as used, but gives way."""
    most = _read(folder / limit)
    if not most.isdigit():
        return None
    lines = [line.split() for line in _read(folder / "memory.stat").splitlines()]
    return int(most) - int(_read(folder / usage) or 0) + sum(int(line[1]) for line in lines if line[0] == page_cache)


def _least(controller: str, of: Callable[[Path], int | None]) -> int | None:
    return min((found for folder in _folders(controller) if (found := of(folder)) is not None), default=None)


def _folders(controller: str) -> Iterator[Path]:
    """Of the own cgroup and of those above it. Of a container's the root alone is to be seen, whatever its path."""
    top = ROOT / controller
    own = top / _path(controller)
    return (folder for folder in (own, *own.parents) if folder == top or top in folder.parents)


def _path(controller: str) -> str:
    for line in _read(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path.lstrip("/")
    return ""


def _read(file: Path) -> str:
    """Nothing where there is no such file."""
    with suppress(OSError):
        return file.read_text().strip()
    return ""
