"""Scans an image for known vulnerabilities with grype. Each accepted vulnerability has a reason and an end date."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import yaml

from delivery.errors import DeliveryError

LONGEST = timedelta(days=180)
FIELDS = {"vulnerability", "package", "reason", "until"}


class ScanError(DeliveryError):
    """An invalid entry in the list of accepted vulnerabilities, or a vulnerable image."""


@dataclass(frozen=True)
class Accepted:
    vulnerability: str
    package: str
    reason: str
    until: date

    def rule(self) -> dict[str, Any]:
        """The entry as a rule in grype's configuration."""
        return {"vulnerability": self.vulnerability, "include-aliases": True, "package": {"name": self.package}, "reason": self.reason}


@dataclass(frozen=True)
class Scan:
    image: str
    accepted: Path
    grype: Path

    def run(self, today: date) -> str:
        """Prints grype's table. Raises ScanError for a vulnerability that is high or critical, has a fix and is not accepted."""
        rules = [entry.rule() for entry in read(self.accepted, today)]
        configuration = {"fail-on-severity": "high", "only-fixed": True, "ignore": rules, "check-for-app-update": False}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "grype.yaml"
            file.write_text(json.dumps(configuration), encoding="utf-8")  # JSON is YAML
            done = subprocess.run([self.grype, "--config", file, f"registry:{self.image}"], check=False)  # noqa: S603
        if done.returncode:
            raise ScanError(f"{self.image} is vulnerable: update the packages, or accept the above in {self.accepted} with a reason")
        return f"{self.image}: no high or critical vulnerability with a fix, {len(rules)} accepted"


def read(file: Path, today: date) -> list[Accepted]:
    """Reads the accepted vulnerabilities. Raises ScanError for one that has expired, or that is accepted for more than LONGEST."""
    entries = [_entry(found, file) for found in yaml.safe_load(file.read_text(encoding="utf-8"))["accepted"] or []]
    for entry in entries:
        if entry.until < today:
            raise ScanError(f"{file}: {entry.vulnerability} was accepted until {entry.until}: remove it, or review it again")
        if entry.until > today + LONGEST:
            raise ScanError(f"{file}: {entry.vulnerability} is accepted until {entry.until}: at most {LONGEST.days} days from today")
    return entries


def _entry(found: dict[str, Any], file: Path) -> Accepted:
    if set(found) != FIELDS or not all(found.values()) or not isinstance(found["until"], date):
        raise ScanError(f"{file}: {found} must have {', '.join(sorted(FIELDS))}, and until must be a date such as 2026-12-31")
    return Accepted(**found)
