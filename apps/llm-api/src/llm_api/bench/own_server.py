"""Our service as a child process, on a free loopback port, for as long as the benchmark runs."""

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

from llm_api.bench.exchange import exchange
from llm_api.bench.target import BenchError, Target
from llm_api.settings import Settings

NAME = "llm-api"
ADDRESS = {"HOST": "127.0.0.1", "MANAGEMENT_PORT": "", "API_KEYS": "", "API_KEYS_FILE": "", "LAME_DUCK_SECONDS": "0"}
UNTOLD = {*ADDRESS, "PORT", "MODEL_PATH", "MODEL_CACHE"}  # the address, keys, and where this machine has its files


@dataclass(frozen=True, slots=True)
class OwnServer:
    target: Target
    settings: dict[str, str]  # those that were made, of the engine and its limits
    ready_seconds: float
    pid: int


@asynccontextmanager
async def own_server(log: Path, settings: Mapping[str, str] = MappingProxyType({}), ready_seconds: float = 900) -> AsyncIterator[OwnServer]:
    """Its settings are the environment's, but for the address and `settings`.

    Raises BenchError, naming the log, when it does not get ready.
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
        yield OwnServer(target, _made(environment), time.perf_counter() - started, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


def _made(environment: Mapping[str, str]) -> dict[str, str]:
    names = [name.upper() for name in Settings.model_fields]
    return {name: environment[name] for name in names if environment.get(name) and name not in UNTOLD}


async def _ready(target: Target, process: asyncio.subprocess.Process, log: Path, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            while (await exchange(target, "GET", "/readyz", seconds=5)).status != 200:
                if process.returncode is not None:
                    raise BenchError(f"the service ended with exit code {process.returncode}: see {log}")
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise BenchError(f"the service was not ready after {seconds:.0f} s: see {log}") from None


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
