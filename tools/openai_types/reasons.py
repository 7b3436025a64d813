"""Reads reasons.yaml. Every difference needs a reason, and every reason a difference."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tools.openai_types.differences import Difference

FILE = Path(__file__).with_name("reasons.yaml")


class ReasonsError(ValueError):
    """One line for each difference without a reason, reason without a difference, and difference with two reasons."""


def reasons_for(differences: list[Difference], file: Path = FILE) -> dict[str, str]:
    """The reason for each difference's key. Raises ReasonsError."""
    entries: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))
    reasons = {key: entry["reason"] for entry in entries for key in entry["differences"]}
    found = {difference.key: difference.part for difference in differences}
    problems = [f"no reason for {found[key]!r}: {key}" for key in sorted(found.keys() - reasons.keys())]
    problems += [f"a reason for a difference that no longer exists: {key}" for key in sorted(reasons.keys() - found.keys())]
    given = Counter(key for entry in entries for key in entry["differences"])
    problems += [f"more than one reason for: {key}" for key, count in given.items() if count > 1]
    if problems:
        raise ReasonsError("\n".join([f"{file.name} does not match the API:", *problems]))
    return reasons
