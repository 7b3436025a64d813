"""A part of the report beside the closed loop's tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol, TypeVar

from llm_api.bench.sample import Sample


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    markdown: str
    runs: Sequence[Any]  # dataclasses, for the JSON report


class SectionRun(Protocol):
    @property
    def server(self) -> str: ...
    @property
    def failure(self) -> str | None: ...


AnyRun = TypeVar("AnyRun", bound=SectionRun)


def by_server(runs: Sequence[AnyRun]) -> Iterator[tuple[str, list[AnyRun], int]]:
    """Each server with its runs that did not fail, and how many did."""
    for server in dict.fromkeys(run.server for run in runs):
        own = [run for run in runs if run.server == server]
        good = [run for run in own if run.failure is None]
        yield server, good, len(own) - len(good)


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
