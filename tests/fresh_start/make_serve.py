"""Starts `make serve` in a clone, waits until it is ready, and stops it."""

import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

URL = re.compile(r"http://127\.0\.0\.1:\d+")
NOT_IN_A_NEW_SHELL = ("MAKE", "MFLAGS", "PYTHON", "VIRTUAL_ENV", "PYTEST")


@dataclass(frozen=True)
class Serving:
    url: str
    ready_after: float  # seconds
    api: psutil.Process
    engine: psutil.Process


@contextmanager
def make_serve(clone: Path, log: Path, ready_within: float) -> Iterator[Serving]:
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_IN_A_NEW_SHELL)}
    with log.open("wb") as output:
        make = subprocess.Popen(
            ["make", "serve", "PORT=0", "LAME_DUCK_SECONDS=0"],
            cwd=clone,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url = _wait_ready(make, log, started + ready_within)
        [api] = psutil.Process(make.pid).children()
        yield Serving(url, time.monotonic() - started, api, _engine(api))
    finally:
        _stop(make)


def _wait_ready(make: subprocess.Popen[bytes], log: Path, deadline: float) -> str:
    while time.monotonic() < deadline:
        assert make.poll() is None, f"make serve ended:\n{log.read_text()}"
        named = URL.search(log.read_text(errors="replace"))
        if named and _is_ready(named[0]):
            return named[0]
        time.sleep(0.1)
    raise AssertionError(f"make serve was not ready in time:\n{log.read_text()}")


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx2.TransportError:
        return False


def _engine(api: psutil.Process) -> psutil.Process:
    return max(api.children(recursive=True), key=lambda process: process.memory_info().rss)


def _stop(make: subprocess.Popen[bytes]) -> None:
    """Stops make by SIGTERM, as a supervisor does. Fails if a process outlives make."""
    children = psutil.Process(make.pid).children(recursive=True) if make.poll() is None else []
    make.terminate()
    make.wait(60)
    _, alive = psutil.wait_procs(children, timeout=10)
    for process in alive:
        process.kill()
    assert not alive, f"outlived make serve: {alive}"
