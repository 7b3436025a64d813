"""A part of the report beside the closed loop's tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from llm_api.bench.sample import Sample


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    markdown: str
    runs: Sequence[Any]  # dataclasses, for the JSON report


def milliseconds(seconds: Sequence[float]) -> str:
    """Median (lowest to highest)."""
    if not seconds:
        return ""
    values = [1000 * value for value in seconds]
    if len(values) == 1:
        return f"{values[0]:.0f}"
    return f"{median(values):.0f} ({min(values):.0f} to {max(values):.0f})"


def failure_of(samples: Sequence[Sample]) -> str | None:
    failures = (sample.failure or (None if sample.first_token else "no text came") for sample in samples)
    return next((failure for failure in failures if failure), None)
