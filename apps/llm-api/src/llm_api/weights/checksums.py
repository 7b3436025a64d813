"""Verification: sha256 of files, and the manifest that records them beside a cached model."""

import hashlib
import os
from pathlib import Path

import msgspec

from llm_api.weights.errors import WeightsError, WrongChecksum
from llm_api.weights.progress import Progress

FORMAT = 1  # raise it when the conversion changes its result: models in older caches are then converted again
_NAME = "manifest.json"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, expected: str, name: str) -> None:
    """Raises WrongChecksum, and removes the file, when its sha256 is not the expected one."""
    actual = sha256_of(path)
    if actual != expected:
        path.unlink()
        raise WrongChecksum(name, expected, actual)


class FileRecord(msgspec.Struct, frozen=True):
    size: int
    mtime_ns: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """The files of a cached model and their checksums, so that a later start detects truncated or changed files."""

    format: int
    source: str
    revision: str | None
    files: dict[str, FileRecord]


def write_manifest(folder: Path, source: str, revision: str | None, progress: Progress) -> Manifest:
    """Hashes all files of the folder and records them. Files and manifest are flushed to disk when this returns."""
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
    (folder / _NAME).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _flush(folder / _NAME)
    return manifest


def read_manifest(folder: Path) -> Manifest | None:
    """None where there is no manifest, or one of another FORMAT."""
    try:
        manifest = msgspec.json.decode((folder / _NAME).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
    return manifest if manifest.format == FORMAT else None


def changed_file(folder: Path, manifest: Manifest) -> str | None:
    """The first file that differs from its record in size or time. A file that differs in time alone is hashed."""
    for name, known in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != known.size:
            return name
        if path.stat().st_mtime_ns != known.mtime_ns and sha256_of(path) != known.sha256:
            return name
    return None


def verify(folder: Path, progress: Progress) -> int:
    """Hashes every file again and returns the number of files. Removes a wrong one and raises WrongChecksum."""
    manifest = read_manifest(folder)
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


def _flush(path: Path) -> None:
    """A rename may reach the disk before the data: without this, a power cut leaves files of zeros."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
