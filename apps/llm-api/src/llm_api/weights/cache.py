"""MODEL_CACHE: one folder for each downloaded or converted model. Concurrent processes build a model once."""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from llm_api.weights.checksums import Manifest, changed_file, read_manifest, write_manifest
from llm_api.weights.disk import disk_errors
from llm_api.weights.errors import WrongChecksum
from llm_api.weights.progress import Progress


@dataclass(frozen=True, slots=True)
class Built:
    """A finished folder inside the staging folder, and the sha256 that its source states for its files, if any."""

    folder: Path
    revision: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)


Build = Callable[[Path], Built]


class ModelCache:
    def __init__(self, root: Path, progress: Progress) -> None:
        self._root = root.expanduser().absolute()
        self._progress = progress

    def entry(self, name: str, identity: str) -> Path:
        """The folder of one model. `identity` distinguishes it from all others; `name` makes the folder's name readable."""
        readable = re.sub(r"[^\w.-]+", "--", name)
        return self._root / "models" / f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"

    def intact(self, entry: Path) -> Manifest | None:
        """The entry's manifest, if all its files match it."""
        known = read_manifest(entry)
        if known is None:
            return None
        changed = changed_file(entry, known)
        if changed:
            self._progress.note(f"{entry / changed} differs from its recorded checksum; getting the model again")
        return None if changed else known

    def obtain(self, entry: Path, source: str, build: Build, *, stale: Callable[[Manifest], bool] | None = None) -> Path:
        """Returns the entry. Builds it first unless it is intact and not `stale`; an intact one is only read."""
        if self._usable(entry, stale):
            return entry
        with disk_errors(self._root), self._locked(entry):
            if not self._usable(entry, stale):
                self._make(entry, source, build)
        return entry

    def _usable(self, entry: Path, stale: Callable[[Manifest], bool] | None) -> bool:
        known = self.intact(entry)
        return known is not None and not (stale and stale(known))

    def _make(self, entry: Path, source: str, build: Build) -> None:
        staging = entry.with_name(f".{entry.name}.partial")  # the same name each time, so that a download resumes
        staging.mkdir(parents=True, exist_ok=True)
        built = build(staging)
        recorded = write_manifest(built.folder, source, built.revision, self._progress)
        for name, expected in built.sha256.items():
            if (actual := recorded.files[name].sha256) != expected:
                (built.folder / name).unlink()
                raise WrongChecksum(name, expected, actual)
        shutil.rmtree(entry, ignore_errors=True)
        built.folder.replace(entry)
        shutil.rmtree(staging, ignore_errors=True)

    @contextmanager
    def _locked(self, entry: Path) -> Iterator[None]:
        folder = self._root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{entry.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._progress.note(f"another process is getting {entry.name}; waiting for it")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
