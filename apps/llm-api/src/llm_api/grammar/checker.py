"""Checks grammars before the engine gets them: in processes of their own, with limits of time and memory."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha256

from llm_api.grammar.checking_process import CPU_SECONDS, LENGTH_BYTES

PROCESSES = 4
START_SECONDS = 30.0
WAIT_SECONDS = 20.0  # for an answer, which takes CPU_SECONDS unless the machine is very busy
MAX_BYTES = 1024 * 1024
REMEMBERED = 1024
TOO_SLOW = f"takes more than {CPU_SECONDS:g} s to compile; simplify it"
TOO_LARGE = "takes too much memory to compile; simplify it"
CAUSES = {-signal.SIGPROF: TOO_SLOW, -signal.SIGABRT: TOO_LARGE, -signal.SIGSEGV: TOO_LARGE, 1: TOO_LARGE}  # by status of the process


class CheckerFailed(Exception):
    """The grammar may be good: its process could not start, was killed, or got no time."""


class GrammarChecker:
    """Up to PROCESSES processes check a grammar each. They are started when they are needed, and stay."""

    def __init__(self) -> None:
        self._idle: list[Process] = []
        self._places = asyncio.Semaphore(PROCESSES)
        self._running: dict[bytes, asyncio.Task[str]] = {}
        self._known: OrderedDict[bytes, str] = OrderedDict()

    async def error(self, grammar: str) -> str:
        """Why `grammar` cannot be used: the compiler's message, or a sentence about the limit. Empty if it can. Raises CheckerFailed."""
        data = grammar.encode(errors="replace")
        if len(data) > MAX_BYTES:
            return f"is larger than {MAX_BYTES} bytes; simplify it"
        key = sha256(data).digest()
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        if key not in self._running:
            self._running[key] = asyncio.create_task(self._check(key, data))
        return await asyncio.shield(self._running[key])  # others may wait for the same grammar

    async def stop(self) -> None:
        checks = list(self._running.values())
        for check in checks:
            check.cancel()
        await asyncio.gather(*checks, return_exceptions=True)
        for process in self._idle:
            await _kill(process)

    async def _check(self, key: bytes, data: bytes) -> str:
        try:
            async with self._places:
                process = self._idle.pop() if self._idle else await _start()
                self._known[key] = await _answer(process, data)
                if process.returncode is None:
                    self._idle.append(process)
        finally:
            del self._running[key]
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]


async def _start() -> Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "llm_api.grammar.checking_process", stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            await _exchange(process, b'start: "a"')
    except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
        await _kill(process)
        raise CheckerFailed("could not start") from error
    except asyncio.CancelledError:
        await _kill(process)
        raise
    return process


async def _answer(process: Process, data: bytes) -> str:
    """The process has ended if it cannot check another grammar."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            return (await _exchange(process, data)).decode()
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        status = await process.wait()
        if status not in CAUSES:
            raise CheckerFailed(f"ended with status {status}") from error
        return CAUSES[status]
    except TimeoutError as error:
        await _kill(process)
        raise CheckerFailed(f"gave no answer in {WAIT_SECONDS:g} s") from error
    except asyncio.CancelledError:  # the next answer would be this grammar's
        await _kill(process)
        raise


async def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _exchange(process: Process, data: bytes) -> bytes:
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    await process.stdin.drain()
    header = await process.stdout.readexactly(LENGTH_BYTES)
    return await process.stdout.readexactly(int.from_bytes(header, "big"))
