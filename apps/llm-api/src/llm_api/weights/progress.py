"""How long work shows itself: a bar on a terminal, else a plain line now and then."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from llm_api.weights.disk import readable_size

_LINE_EVERY_SECONDS = 10.0

Report = Callable[[int, int | None], None]  # bytes done, bytes in all


class Progress(Protocol):
    def note(self, line: str) -> None: ...

    def transfer(self, description: str, total: int | None = None) -> AbstractContextManager[Report]:
        """Bytes that come or are read."""
        ...

    def work(self, description: str) -> AbstractContextManager[Callable[[str], None]]:
        """Work of unknown length; it names its stages."""
        ...


class TerminalProgress:
    def __init__(self, console: Console) -> None:
        self._console = console

    def note(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def transfer(self, description: str, total: int | None = None) -> Iterator[Report]:
        columns = (_text(), BarColumn(), DownloadColumn(binary_units=True), TimeRemainingColumn())
        with RichProgress(*columns, console=self._console) as bars:
            task = bars.add_task(description, total=total)
            yield lambda done, total: bars.update(task, completed=done, total=total)

    @contextmanager
    def work(self, description: str) -> Iterator[Callable[[str], None]]:
        with RichProgress(SpinnerColumn(finished_text="✓"), _text(), TimeElapsedColumn(), console=self._console) as bars:
            task = bars.add_task(description, total=None)
            yield lambda stage: bars.update(task, description=f"{description}: {stage}")
            bars.update(task, description=description, total=1, completed=1)


class LineProgress:
    def __init__(self, write: Callable[[str], None]) -> None:
        self.note = write

    @contextmanager
    def transfer(self, description: str, total: int | None = None) -> Iterator[Report]:
        self.note(description + (f" ({readable_size(total)})" if total else ""))
        written_at = time.monotonic()

        def report(done: int, total: int | None) -> None:
            nonlocal written_at
            if time.monotonic() - written_at >= _LINE_EVERY_SECONDS:
                written_at = time.monotonic()
                self.note(f"{description}: {readable_size(done)}{_share(done, total)}")

        yield report

    @contextmanager
    def work(self, description: str) -> Iterator[Callable[[str], None]]:
        self.note(description)
        yield lambda stage: self.note(f"{description}: {stage}")


def _text() -> TextColumn:
    return TextColumn("{task.description}", markup=False)


def _share(done: int, total: int | None) -> str:
    return f" of {readable_size(total)} ({100 * done // total} %)" if total else ""
