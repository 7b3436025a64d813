"""A problem in a manifest, with its place, its reason and its fix."""

from dataclasses import dataclass
from typing import Any

from delivery.policy.invariants import Invariant


@dataclass(frozen=True)
class Problem:
    """One violation, as a check reports it."""

    file: str
    field: str
    value: Any
    because: str
    fix: str


@dataclass(frozen=True)
class Finding:
    folder: str
    invariant: Invariant
    problem: Problem

    def __str__(self) -> str:
        problem = self.problem
        return (
            f"{self.folder}: {self.invariant.value}: {self.invariant.rule}\n"
            f"  file:  {problem.file}\n"
            f"  field: {problem.field}\n"
            f"  value: {_short(problem.value)}\n"
            f"  why:   {problem.because}\n"
            f"  fix:   {problem.fix}"
        )


def _short(value: Any) -> str:
    text = "(absent)" if value is None else str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
