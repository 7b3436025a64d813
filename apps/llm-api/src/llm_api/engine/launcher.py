"""The engine's process, as its parent holds it."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# OpenMP's threads meet several hundred times in a step. By default whoever waits spins for milliseconds, and where
# the cores are shared, if only with this process, it spins in the place of the thread that it waits for: steps were
# 10 times slower beside busy ones. Half a millisecond still covers the gaps between parallel parts.
PATIENT_THREADS = {"GOMP_SPINCOUNT": "10000"}
KILL_SECONDS = 2.0


class EngineProcess:
    """Runs from its making on, and ends by itself when `connection` is closed. Needs no configuration until it has imported torch."""

    def __init__(self) -> None:
        self.connection, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "llm_api.engine", str(fd)], pass_fds=[fd], env=PATIENT_THREADS | os.environ
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self, seconds: float) -> int:
        """Its exit status; negative: the signal that killed it. Raises TimeoutError."""
        try:
            return await asyncio.to_thread(self._process.wait, seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def kill(self) -> None:
        """Returns once it has ended, or after some seconds: a driver may keep even a killed process."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_SECONDS)


@contextmanager
def engine_process() -> Iterator[EngineProcess]:
    """Nothing is left of it when the block ends."""
    process = EngineProcess()
    try:
        yield process
    finally:
        process.kill()
        process.connection.close()
