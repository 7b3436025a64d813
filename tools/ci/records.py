"""Records the suites that have passed on this machine, with the fingerprints of their inputs. The records are outside the clone."""

from datetime import UTC, datetime
from pathlib import Path


class Records:
    def __init__(self, folder: Path, *, ignore: bool = False) -> None:
        """`ignore`: report nothing as passed, but go on recording (CI_FULL)."""
        self._folder = folder
        self._ignore = ignore

    def passed(self, suite: str, fingerprint: str | None) -> str | None:
        """When and at which commit the suite passed with these inputs; None if it did not, or its inputs are unknown."""
        if fingerprint is None or self._ignore:
            return None
        try:
            return self._file(suite, fingerprint).read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    def add(self, suite: str, fingerprint: str, commit: str) -> None:
        file = self._file(suite, fingerprint)
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_text(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC at {commit[:12]}\n", encoding="utf-8")
        fresh.replace(file)

    def _file(self, suite: str, fingerprint: str) -> Path:
        return self._folder / suite / fingerprint
