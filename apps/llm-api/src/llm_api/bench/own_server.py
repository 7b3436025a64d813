"""Starts our service as a child process for the benchmark, and measures its start and its memory."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from types import MappingProxyType

import psutil

from llm_api.bench.exchange import BenchError, Target, exchange
from llm_api.settings import Settings

NAME = "llm-api"
MEBIBYTE = 2**20
ADDRESS = {"HOST": "127.0.0.1", "MANAGEMENT_PORT": "", "API_KEYS": "", "API_KEYS_FILE": "", "LAME_DUCK_SECONDS": "0"}
UNREPORTED = {*ADDRESS, "PORT", "MODEL_PATH", "MODEL_CACHE"}  # the address, the keys, and paths of this machine


@dataclass(frozen=True, slots=True)
class OwnServer:
    target: Target
    settings: dict[str, str]  # those that the environment sets, of the engine and its limits
    ready_seconds: float
    pid: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """What our service takes: seconds until it is ready, and memory."""

    settings: dict[str, str]  # those that the environment sets
    ready_seconds: float  # since the process started, with the model in the cache
    memory: int  # bytes of all its processes after the load; shared pages count once

    def __str__(self) -> str:
        made = ", ".join(f"`{name}={value}`" for name, value in self.settings.items()) or "its default settings"
        memory = f"{self.memory / MEBIBYTE:.0f} MiB"
        return f"llm-api, with {made}, was ready after {self.ready_seconds:.1f} s and held {memory} after the load."


@asynccontextmanager
async def own_server(log: Path, settings: Mapping[str, str] = MappingProxyType({}), ready_seconds: float = 900) -> AsyncIterator[OwnServer]:
    """On a free loopback port, with the environment's settings overridden by `settings`.

    Raises BenchError, which names the log, when the service does not get ready.
    """
    port = _free_port()
    environment = os.environ | ADDRESS | {"PORT": str(port)} | dict(settings)
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "llm_api", "serve", env=environment, stdout=output, stderr=output
        )
    try:
        target = Target(NAME, "127.0.0.1", port)
        await _ready(target, process, log, ready_seconds)
        yield OwnServer(target, _reported_settings(environment), time.perf_counter() - started, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def footprint_of(server: OwnServer) -> Footprint:
    return Footprint(server.settings, server.ready_seconds, memory_of(server.pid))


def memory_of(pid: int) -> int:
    """Bytes of a process and its children: their own pages, and their part of pages shared with other processes."""
    process = psutil.Process(pid)
    return sum(_held(member) for member in [process, *process.children(recursive=True)])


def _held(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0
    return int(getattr(full, "pss", full.uss))


def _reported_settings(environment: Mapping[str, str]) -> dict[str, str]:
    names = [name.upper() for name in Settings.model_fields]
    return {name: environment[name] for name in names if environment.get(name) and name not in UNREPORTED}


async def _ready(target: Target, process: asyncio.subprocess.Process, log: Path, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await exchange(target, "GET", "/readyz", seconds=5)).status != 200:
                if process.returncode is not None:
                    raise BenchError(f"the service exited with code {process.returncode}: see {log}")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise BenchError(f"the service was not ready after {seconds:.0f} s: see {log}") from None


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
