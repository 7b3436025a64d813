"""What a cached model consisted of when it was made, so that a later start can tell a truncated or altered one."""

import os
from pathlib import Path

import msgspec

from llm_api.weights.checksum import sha256_of
from llm_api.weights.errors import WeightsError, WrongChecksum
from llm_api.weights.progress import Progress

FORMAT = 1  # raise it when conversion changes its result: older caches are then made again
_NAME = "manifest.json"


class FileRecord(msgspec.Struct, frozen=True):
    size: int
    mtime_ns: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    format: int
    source: str
    revision: str | None
    files: dict[str, FileRecord]


def record(folder: Path, source: str, revision: str | None, progress: Progress) -> Manifest:
    """Hashes all files of the folder and writes them down. They are on disk when this returns."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _NAME)
    total, done, files = sum(path.stat().st_size for path in paths), 0, {}
    with progress.transfer("recording checksums", total) as report:
        for path in paths:
            _flush(path)
            status = path.stat()
            files[str(path.relative_to(folder))] = FileRecord(status.st_size, status.st_mtime_ns, sha256_of(path))
            done += status.st_size
            report(done, total)
    manifest = Manifest(FORMAT, source, revision, files)
    _write(folder, manifest)
    return manifest


def read(folder: Path) -> Manifest | None:
    try:
        manifest = msgspec.json.decode((folder / _NAME).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
    return manifest if manifest.format == FORMAT else None


def changed_file(folder: Path, manifest: Manifest) -> str | None:
    """Names the first file that is not as recorded, by size and time. A file with a new time alone is hashed."""
    for name, known in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != known.size:
            return name
        if path.stat().st_mtime_ns != known.mtime_ns and sha256_of(path) != known.sha256:
            return name
    return None


def verify(folder: Path, progress: Progress) -> int:
    """Hashes every file again and returns how many there are. A wrong one is removed and raises WrongChecksum."""
    manifest = read(folder)
    if manifest is None:
        raise WeightsError(f"{folder} has no recorded checksums: only models in MODEL_CACHE can be verified.")
    total, done = sum(known.size for known in manifest.files.values()), 0
    with progress.transfer("verifying", total) as report:
        for name, known in manifest.files.items():
            path = folder / name
            actual = sha256_of(path) if path.is_file() else "no file"
            if actual != known.sha256:
                path.unlink(missing_ok=True)
                raise WrongChecksum(str(path), known.sha256, actual)
            done += known.size
            report(done, total)
    return len(manifest.files)


def _write(folder: Path, manifest: Manifest) -> None:
    path = folder / _NAME
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _flush(path)


def _flush(path: Path) -> None:
    """A rename may reach the disk before what it names: without this a power cut leaves files of zeros."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
