"""Runs suites, several at a time, without mixing their output: a suite's log is printed whole when the suite ends."""

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tools.ci.records import Records
from tools.ci.suites import Suite

END_SECONDS = 120.0  # for a suite's fixtures to stop their processes
Fingerprint = Callable[[Suite], str | None]


@dataclass(frozen=True)
class Result:
    name: str
    outcome: str
    seconds: float = 0.0


class Runner:
    def __init__(self, root: Path, logs: Path, records: Records, fingerprint: Fingerprint, commit: str) -> None:
        """`fingerprint`: returns the fingerprint of a suite's current inputs; None: unknown."""
        self._root, self._logs, self._records = root, logs, records
        self._fingerprint, self._commit = fingerprint, commit
        self._failure = asyncio.Event()
        self.results: list[Result] = []

    @property
    def failed(self) -> bool:
        return self._failure.is_set()

    def fail(self) -> None:
        self._failure.set()

    def skip(self, suite: Suite) -> bool:
        """Whether the suite has passed with the same inputs. If so, prints it."""
        passed = self._records.passed(suite.name, self._fingerprint(suite)) if suite.skippable else None
        if passed:
            print(f"== make {suite.name}: left out, it passed with the same inputs ({passed}); CI_FULL=1 runs it", flush=True)
            self.results.append(Result(f"make {suite.name}", f"left out: passed {passed}"))
        return passed is not None

    async def suite(self, suite: Suite, environment: Mapping[str, str]) -> str:
        """Runs the suite, and records a pass unless the inputs changed meanwhile. Returns its log; empty if another suite has failed."""
        before = self._fingerprint(suite) if suite.skippable and not self.failed else None
        log, passed = await self.command(f"make {suite.name}", ["nice", "-n", str(suite.niceness), "make", suite.name], environment)
        if passed and before is not None and before == self._fingerprint(suite):
            self._records.add(suite.name, before, self._commit)
        return log

    async def preparation(self, name: str, script: str, environment: Mapping[str, str]) -> bool:
        """Runs a shell script that prepares suites. It is interrupted when a suite fails. Returns whether it ended with 0."""
        _, passed = await self.command(name, ["bash", "-euo", "pipefail", "-c", script], environment, until=self._failure)
        return passed

    async def command(
        self, name: str, command: list[str], environment: Mapping[str, str], until: asyncio.Event | None = None
    ) -> tuple[str, bool]:
        """Returns the log, and whether the command ended with 0. After a failure no other command starts."""
        if self.failed:
            self.results.append(Result(name, "not started"))
            return "", False
        file, started = self._logs / f"{name.replace(' ', '-')}.log", time.monotonic()
        print(f"== {name}: started ({file})", flush=True)
        code = await self._run(command, environment, file, until)
        seconds = time.monotonic() - started
        outcome = "passed" if code == 0 else "interrupted" if until and until.is_set() else f"FAILED with {code}"
        if code:
            self.fail()
        self.results.append(Result(name, outcome, seconds))
        _print(name, file, f"{outcome}, {seconds / 60:.1f} min")
        return file.read_text(encoding="utf-8", errors="replace"), code == 0

    async def _run(self, command: list[str], environment: Mapping[str, str], file: Path, until: asyncio.Event | None) -> int:
        """Runs the command in a new process group. Interrupts the group, as by Ctrl-C, when this task is cancelled or `until` is set."""
        with file.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=self._root, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
            events = [process.wait(), until.wait()] if until else [process.wait()]
            waited_for = [asyncio.ensure_future(event) for event in events]
            try:
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _end(process)
                for future in waited_for:
                    future.cancel()
        return process.returncode or 0

    def table(self, seconds: float) -> str:
        """Durations and outcomes."""
        rows = [(result.name, f"{result.seconds / 60:.1f} min", result.outcome) for result in self.results]
        rows.append(("total", f"{seconds / 60:.1f} min", "FAILED" if self.failed else "passed"))
        width = max(len(name) for name, _, _ in rows)
        return "\n".join(f"{name:<{width}}  {minutes:>9}  {outcome}" for name, minutes, outcome in rows)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Interrupts the process group, then kills it."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):  # already ended
        os.killpg(process.pid, signal.SIGINT)
    try:
        await asyncio.wait_for(process.wait(), END_SECONDS)
    except TimeoutError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _print(name: str, file: Path, outcome: str) -> None:
    sys.stdout.write(f"\n== {name}\n")
    sys.stdout.flush()
    with file.open(encoding="utf-8", errors="replace") as log:
        shutil.copyfileobj(log, sys.stdout)
    print(f"== {name}: {outcome}\n", flush=True)
