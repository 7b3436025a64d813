"""Progress of downloads and conversions: a bar on a terminal, else a plain line every few seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from llm_api.weights.disk import readable_size

_SECONDS_BETWEEN_LINES = 5.0

TransferReport = Callable[[int, int | None], None]  # bytes done, bytes in all
StageReport = Callable[[str, int, int | None], None]  # name of the stage, steps done, steps in all where they are known


class Progress(Protocol):
    def note(self, line: str) -> None: ...

    def transfer(self, description: str, total: int | None = None) -> AbstractContextManager[TransferReport]:
        """For bytes that are downloaded or read."""
        ...

    def work(self, description: str) -> AbstractContextManager[StageReport]:
        """For work in stages, each of known or unknown length."""
        ...


class TerminalProgress:
    def __init__(self, console: Console) -> None:
        self._console = console

    def note(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def transfer(self, description: str, total: int | None = None) -> Iterator[TransferReport]:
        columns = (_description(), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
        with RichProgress(*columns, console=self._console) as bars:
            task = bars.add_task(description, total=total)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    @contextmanager
    def work(self, description: str) -> Iterator[StageReport]:
        """One bar for each stage."""
        columns = (SpinnerColumn(finished_text="✓"), _description(), BarColumn(), TextColumn("{task.fields[steps]}"), TimeElapsedColumn())
        with RichProgress(*columns, console=self._console) as bars:
            stages: dict[str, TaskID] = {}

            def finish() -> None:
                for task in bars.tasks:
                    bars.update(task.id, completed=task.total or 1, total=task.total or 1)

            def report(stage: str, done: int, total: int | None) -> None:
                if stage not in stages:
                    finish()
                    stages[stage] = bars.add_task(f"{description}: {stage}", total=None, steps="")
                if total:
                    bars.update(stages[stage], completed=done, total=total, steps=f"{done} of {total}")

            yield report
            finish()


class LineProgress:
    def __init__(self, write: Callable[[str], None]) -> None:
        self.note = write

    @contextmanager
    def transfer(self, description: str, total: int | None = None) -> Iterator[TransferReport]:
        self.note(description + (f" ({readable_size(total)})" if total else ""))
        is_due = _Interval()

        def report(done: int, total: int | None) -> None:
            if is_due():
                share = f" of {readable_size(total)} ({_percent(done, total)})" if total else ""
                self.note(f"{description}: {readable_size(done)}{share}")

        yield report

    @contextmanager
    def work(self, description: str) -> Iterator[StageReport]:
        """One line for each stage, and within a stage one every few seconds."""
        self.note(description)
        is_due, current = _Interval(), ""

        def report(stage: str, done: int, total: int | None) -> None:
            nonlocal current
            if stage != current or is_due():
                current = stage
                is_due.restart()
                self.note(f"{description}: {stage}" + (f" {done} of {total} ({_percent(done, total)})" if total else ""))

        yield report


def _description() -> TextColumn:
    return TextColumn("{task.description}", markup=False)


def _percent(done: int, total: int) -> str:
    return f"{100 * done // total} %"


class _Interval:
    """True at most once per _SECONDS_BETWEEN_LINES."""

    def __init__(self) -> None:
        self.restart()

    def __call__(self) -> bool:
        due = time.monotonic() - self._since >= _SECONDS_BETWEEN_LINES
        if due:
            self.restart()
        return due

    def restart(self) -> None:
        self._since = time.monotonic()
