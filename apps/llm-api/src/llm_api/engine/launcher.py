"""Runs in the API process: starts, awaits and kills a worker process: the engine, or the one for embeddings."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# OpenMP threads synchronise several hundred times in a step. By default a waiting thread spins for milliseconds. On shared
# cores it then takes the core of the thread that it waits for: steps were 10 times slower on a busy machine. Half a
# millisecond still covers the gaps between parallel sections.
OPENMP_ENVIRONMENT = {"GOMP_SPINCOUNT": "10000"}
KILL_SECONDS = 2.0


class WorkerProcess:
    """Starts on construction and exits by itself when `connection` is closed. It imports torch before it needs a configuration."""

    def __init__(self, name: str, module: str) -> None:
        """`name`: for messages. `module`: run as `python -m MODULE FD`."""
        self.name = name
        self.connection, theirs = socket.socketpair()
        with theirs:
            fd = theirs.fileno()
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", module, str(fd)], pass_fds=[fd], env=OPENMP_ENVIRONMENT | os.environ
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self, seconds: float) -> int:
        """Returns the exit status; a negative one is the signal that killed the process. Raises TimeoutError."""
        try:
            return await asyncio.to_thread(self._process.wait, seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None

    def kill(self) -> None:
        """Returns when the process has ended, or after KILL_SECONDS: a driver can hold even a killed process."""
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_SECONDS)


@contextmanager
def worker_process(name: str, module: str) -> Iterator[WorkerProcess]:
    """Kills the process when the block ends."""
    process = WorkerProcess(name, module)
    try:
        yield process
    finally:
        process.kill()
        process.connection.close()
