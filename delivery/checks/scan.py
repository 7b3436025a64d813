"""Scans an image for known vulnerabilities, by grype. What is let through nevertheless has a reason and an end."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

LONGEST = timedelta(days=180)
FIELDS = {"vulnerability", "package", "reason", "until"}


class ScanError(Exception):
    """Which entry is not what it must be, or what was found."""


@dataclass(frozen=True)
class Accepted:
    vulnerability: str
    package: str
    reason: str
    until: date

    def rule(self) -> dict[str, Any]:
        """As grype's configuration has it."""
        return {"vulnerability": self.vulnerability, "include-aliases": True, "package": {"name": self.package}, "reason": self.reason}


@dataclass(frozen=True)
class Scan:
    image: str
    accepted: Path
    grype: Path

    def run(self, today: date) -> str:
        """Prints grype's table. Raises ScanError for what is high or critical, has a fix and is not accepted, or was accepted too long."""
        rules = [entry.rule() for entry in read(self.accepted, today)]
        configuration = {"fail-on-severity": "high", "only-fixed": True, "ignore": rules, "check-for-app-update": False}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "grype.yaml"
            file.write_text(json.dumps(configuration), encoding="utf-8")  # JSON is YAML
            done = subprocess.run([self.grype, "--config", file, f"registry:{self.image}"], check=False)  # noqa: S603
        if done.returncode:
            raise ScanError(f"{self.image} has what is listed above: update it, or accept it in {self.accepted} with a reason and an end")
        return f"{self.image}: nothing high or critical that has a fix, {len(rules)} accepted"


def read(file: Path, today: date) -> list[Accepted]:
    """Raises ScanError."""
    entries = [_entry(found, file) for found in yaml.safe_load(file.read_text(encoding="utf-8"))["accepted"] or []]
    for entry in entries:
        if entry.until < today:
            raise ScanError(f"{file}: {entry.vulnerability} was accepted until {entry.until}: remove it, or look again and say why")
        if entry.until > today + LONGEST:
            raise ScanError(f"{file}: {entry.vulnerability} is accepted until {entry.until}: at most {LONGEST.days} days from today")
    return entries


def _entry(found: dict[str, Any], file: Path) -> Accepted:
    if set(found) != FIELDS or not all(found.values()) or not isinstance(found["until"], date):
        raise ScanError(f"{file}: {found} must have {', '.join(sorted(FIELDS))}, and until as 2026-12-31")
    return Accepted(**found)
