"""Vulnerabilities that `make scan` accepts need a reason and an end date. grype is a stub, because its database is online."""

import json
from datetime import date
from pathlib import Path

import pytest
import yaml
from copied_tree import ROOT

from delivery.checks.scan import Scan, ScanError, read

TODAY = date(2026, 11, 24)
ENTRY = {"vulnerability": "CVE-2026-12345", "package": "openssl", "reason": "TLS ends at the ingress", "until": date(2026, 12, 31)}


def accepted(folder: Path, *entries: dict[str, object]) -> Path:
    file = folder / "vulnerabilities.yaml"
    file.write_text(yaml.safe_dump({"accepted": list(entries)}))
    return file


def grype(folder: Path, code: int) -> Path:
    """A stub that records its configuration and image."""
    program = folder / "grype"
    program.write_text(f'#!/bin/sh\ncp "$2" {folder}/configuration\necho "$3" > {folder}/asked\nexit {code}\n')
    program.chmod(0o755)
    return program


def test_accepted_vulnerabilities_are_passed_to_grype(tmp_path: Path) -> None:
    scan = Scan("ghcr.io/org/llm-api@sha256:1", accepted(tmp_path, ENTRY), grype(tmp_path, 0))
    assert scan.run(TODAY).endswith("1 accepted")
    configuration = json.loads((tmp_path / "configuration").read_text())
    assert configuration["fail-on-severity"] == "high"
    assert configuration["ignore"] == [
        {"vulnerability": "CVE-2026-12345", "include-aliases": True, "package": {"name": "openssl"}, "reason": "TLS ends at the ingress"}
    ]
    assert (tmp_path / "asked").read_text() == "registry:ghcr.io/org/llm-api@sha256:1\n"


def test_a_finding_of_grype_fails_the_scan(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="update the packages, or accept the above in"):
        Scan("llm-api@sha256:1", accepted(tmp_path), grype(tmp_path, 2)).run(TODAY)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"until": date(2026, 11, 23)}, "was accepted until 2026-11-23: remove it, or review it again"),
        ({"until": date(2028, 1, 1)}, "at most 180 days from today"),
        ({"until": "soon"}, "until must be a date such as 2026-12-31"),
        ({"reason": ""}, "must have package, reason, until, vulnerability"),
        ({"because": "of that"}, "must have package, reason, until, vulnerability"),
    ],
)
def test_an_invalid_entry_is_refused_before_the_scan(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    file = accepted(tmp_path, ENTRY | change)
    with pytest.raises(ScanError, match=reason):
        Scan("llm-api@sha256:1", file, tmp_path / "not-there").run(TODAY)


def test_the_committed_list_is_valid() -> None:
    file = ROOT / "delivery/checks/vulnerabilities.yaml"
    dates = [entry["until"] for entry in yaml.safe_load(file.read_text())["accepted"]]
    read(file, min(dates, default=TODAY))
