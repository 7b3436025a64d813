"""What the process's own cgroup, a container's or a system service's, leaves of the machine; by either version of the interface.

https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
"""

from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
UNIFIED = ""  # the controller, as MEMBERSHIP names it, of all that version 2 controls


def core_limit() -> int | None:
    """Cores' worth of time, rounded up."""
    quota, _, period = _read(UNIFIED, "cpu.max").partition(" ")
    if not quota:
        quota, period = _read("cpu", "cpu.cfs_quota_us"), _read("cpu", "cpu.cfs_period_us")
    return -(-int(quota) // int(period)) if quota.isdigit() else None  # without a limit it is "max", or "-1"


def memory_left() -> int | None:
    """Bytes up to the limit."""
    limit = _read(UNIFIED, "memory.max")
    if limit.isdigit():
        return int(limit) - _used(UNIFIED, "memory.current", "inactive_file")
    limit = _read("memory", "memory.limit_in_bytes")
    return int(limit) - _used("memory", "memory.usage_in_bytes", "total_inactive_file") if limit else None


def _used(controller: str, usage: str, page_cache: str) -> int:
    """Without what counts as used but gives way."""
    lines = map(str.split, _read(controller, "memory.stat").splitlines())
    return int(_read(controller, usage) or 0) - sum(int(size) for name, size in lines if name == page_cache)


def _read(controller: str, name: str) -> str:
    """A container's own cgroup is mostly the root of what it sees, whatever its path; that of a system's service is not."""
    for folder in (ROOT / controller / _path(controller), ROOT / controller):
        with suppress(OSError):
            return (folder / name).read_text().strip()
    return ""


def _path(controller: str) -> str:
    with suppress(OSError):
        for line in MEMBERSHIP.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controller in controllers.split(","):
                return path.lstrip("/")
    return ""
