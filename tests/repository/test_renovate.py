"""Renovate's patterns find every pin of pins.yaml: a pattern without a match updates nothing."""

import json
import re
from typing import Any

from copied_tree import ROOT

from delivery.checks.pins import read

MANAGERS: list[dict[str, Any]] = json.loads((ROOT / ".github/renovate.json").read_text(encoding="utf-8"))["customManagers"]
FILES = ("pins.yaml", "tools/kind-cluster", "tools/schemas/sources.yaml")


def found(manager: dict[str, Any]) -> list[re.Match[str]]:
    files = [file for file in FILES if any(re.search(pattern.strip("/"), file) for pattern in manager["managerFilePatterns"])]
    texts = [(ROOT / file).read_text(encoding="utf-8") for file in files]
    patterns = [re.sub(r"\(\?<(\w)", r"(?P<\1", pattern) for pattern in manager["matchStrings"]]  # group names in Python's syntax
    return [match for text in texts for pattern in patterns for match in re.finditer(pattern, text)]


def test_every_manager_matches_something() -> None:
    assert [manager["description"] for manager in MANAGERS if not found(manager)] == []


def test_every_pin_is_found_by_a_manager() -> None:
    seen = {(match["depName"], match["currentValue"]) for manager in MANAGERS for match in found(manager)}
    assert {(pin.name, pin.version) for pin in read(ROOT)} <= seen
