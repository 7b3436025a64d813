"""Disk space: checked before writing, and named in the error when it runs out anyway."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_api.weights.errors import CacheNotWritable, DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FOLDER = (errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP)
_BROKEN = (errno.EIO, errno.ESTALE, errno.ENOLCK, errno.EINVAL)
_MARGIN = 16 * 1024 * 1024


def readable_size(size: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def require_space(folder: Path, size: int, purpose: str) -> None:
    """Raises DiskFull when `size` bytes and a small margin do not fit."""
    free = shutil.disk_usage(folder).free
    if free < size + _MARGIN:
        raise DiskFull(
            f"not enough disk space {purpose}: it needs {readable_size(size)}, {readable_size(free)} are free in {folder}. "
            "Free some, or set MODEL_CACHE to a folder on a larger disk."
        )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Names the folder and the setting when a write under it fails because of the folder or its disk."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_full(folder) from error
        if error.errno in _FORBIDDEN + _NO_FOLDER + _BROKEN:
            reason = "a file is in its place" if error.errno == errno.EEXIST else error.strerror
            raise CacheNotWritable(f"cannot write to {folder}: {reason}. Set MODEL_CACHE to a writable folder.") from error
        raise


def disk_full(folder: Path) -> DiskFull:
    existing = next(place for place in (folder, *folder.parents) if place.exists())  # the disk may be full before the folder exists
    free = readable_size(shutil.disk_usage(existing).free)
    return DiskFull(f"the disk of {folder} is full ({free} free). Free some, or set MODEL_CACHE to a folder on a larger disk.")
