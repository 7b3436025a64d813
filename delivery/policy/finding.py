"""What is wrong, where, and how to put it right."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One broken rule, as a check sees it."""

    file: str
    field: str
    value: Any
    because: str
    fix: str


@dataclass(frozen=True)
class Finding:
    overlay: str
    number: int
    rule: str
    problem: Problem

    def __str__(self) -> str:
        problem = self.problem
        return (
            f"{self.overlay}: invariant {self.number}, {self.rule}\n"
            f"  file:  {problem.file}\n"
            f"  field: {problem.field}\n"
            f"  value: {_short(problem.value)}\n"
            f"  why:   {problem.because}\n"
            f"  fix:   {problem.fix}"
        )


def _short(value: Any) -> str:
    text = "(absent)" if value is None else str(value)
    return text if len(text) <= 160 else f"{text[:157]}..."
