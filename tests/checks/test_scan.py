"""What `make scan` lets through has a reason and an end. grype stands in here: its database cannot be had offline."""

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
    """Keeps the configuration and the image that it was asked for."""
    program = folder / "grype"
    program.write_text(f'#!/bin/sh\ncp "$2" {folder}/configuration\necho "$3" > {folder}/asked\nexit {code}\n')
    program.chmod(0o755)
    return program


def test_what_is_accepted_reaches_grype_and_the_rest_fails(tmp_path: Path) -> None:
    scan = Scan("ghcr.io/org/llm-api@sha256:1", accepted(tmp_path, ENTRY), grype(tmp_path, 0))
    assert scan.run(TODAY).endswith("1 accepted")
    configuration = json.loads((tmp_path / "configuration").read_text())
    assert configuration["fail-on-severity"] == "high"
    assert configuration["ignore"] == [
        {"vulnerability": "CVE-2026-12345", "include-aliases": True, "package": {"name": "openssl"}, "reason": "TLS ends at the ingress"}
    ]
    assert (tmp_path / "asked").read_text() == "registry:ghcr.io/org/llm-api@sha256:1\n"


def test_what_grype_finds_stops_it(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="update it, or accept it in"):
        Scan("llm-api@sha256:1", accepted(tmp_path), grype(tmp_path, 2)).run(TODAY)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"until": date(2026, 11, 23)}, "was accepted until 2026-11-23: remove it, or look again"),
        ({"until": date(2028, 1, 1)}, "at most 180 days from today"),
        ({"until": "soon"}, "until as 2026-12-31"),
        ({"reason": ""}, "must have package, reason, until, vulnerability"),
        ({"because": "of that"}, "must have package, reason, until, vulnerability"),
    ],
)
def test_an_entry_without_an_end_or_a_reason_is_refused_before_anything_is_scanned(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    file = accepted(tmp_path, ENTRY | change)
    with pytest.raises(ScanError, match=told):
        Scan("llm-api@sha256:1", file, tmp_path / "not-there").run(TODAY)


def test_the_committed_list_is_well_formed() -> None:
    file = ROOT / "delivery/checks/vulnerabilities.yaml"
    dates = [entry["until"] for entry in yaml.safe_load(file.read_text())["accepted"]]
    read(file, min(dates, default=TODAY))
