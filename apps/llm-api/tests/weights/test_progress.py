"""Progress is a bar on a terminal, else a plain line every few seconds."""

from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console
from weights.conftest import Notes

from llm_api.weights.progress import TerminalProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, as its only element."""
    now = [0.0]
    monkeypatch.setattr("llm_api.weights.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_lines_of_a_transfer_are_seconds_apart(clock: list[float], notes: Notes) -> None:
    with notes.progress.transfer("downloading m", 200 * 2**20) as report:
        for second in range(12):
            clock[0] = second
            report(second * 2**24, 200 * 2**20)
    assert notes == [
        "downloading m (200.0 MiB)",
        "downloading m: 80.0 MiB of 200.0 MiB (40 %)",
        "downloading m: 160.0 MiB of 200.0 MiB (80 %)",
    ]


def test_a_stage_is_a_line_and_its_steps_are_seconds_apart(clock: list[float], notes: Notes) -> None:
    with notes.progress.work("converting m") as report:
        report("reading", 0, None)
        for step in range(9):
            clock[0] += 1
            report("weights", step, 8)
        report("writing", 0, None)
    assert notes == [
        "converting m",
        "converting m: reading",
        "converting m: weights 0 of 8 (0 %)",
        "converting m: weights 5 of 8 (62 %)",
        "converting m: writing",
    ]


def test_a_terminal_shows_a_bar_for_each_stage() -> None:
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, color_system=None, width=100)
    with TerminalProgress(console).work("converting m") as report:
        report("reading", 0, None)
        report("weights", 0, 8)
        report("weights", 8, 8)
        report("writing", 0, None)
    stages = [line[line.index("✓") : line.index("━")].strip() for line in screen.getvalue().splitlines()[-4:-1]]
    assert stages == ["✓ converting m: reading", "✓ converting m: weights", "✓ converting m: writing"]
    assert "8 of 8" in screen.getvalue()
