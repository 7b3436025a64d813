"""Checks grammars before the engine gets them: in a process of their own, with a limit in seconds."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha256

from llm_api.grammar.checking_process import LENGTH_BYTES

SECONDS = 1.0  # for a grammar, once the process runs
START_SECONDS = 30.0
MAX_BYTES = 1024 * 1024
REMEMBERED = 1024
TOO_SLOW = f"takes more than {SECONDS:g} s to compile; simplify it"


class GrammarChecker:
    """One process checks one grammar after another. It is started for the first grammar, and again after it was killed."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._known: OrderedDict[bytes, str] = OrderedDict()

    async def error(self, grammar: str) -> str:
        """Why `grammar` cannot be used: the compiler's message, or a sentence about the limit. Empty if it can."""
        data = grammar.encode(errors="replace")
        if len(data) > MAX_BYTES:
            return f"is larger than {MAX_BYTES} bytes; simplify it"
        key = sha256(data).digest()
        if key not in self._known:
            async with self._turn:
                if key not in self._known:  # it may have been checked meanwhile
                    self._remember(key, await self._check(data))
        return self._known[key]

    async def stop(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    def _remember(self, key: bytes, error: str) -> None:
        self._known[key] = error
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    async def _check(self, data: bytes) -> str:
        try:
            async with asyncio.timeout(START_SECONDS):
                process = self._process or await self._start()
            async with asyncio.timeout(SECONDS):
                return (await _exchange(process, data)).decode()
        except TimeoutError:
            await self.stop()
            return TOO_SLOW
        except (asyncio.IncompleteReadError, ConnectionError):
            await self.stop()
            return "takes too much memory to compile; simplify it"
        except asyncio.CancelledError:  # the next answer would be this grammar's
            await self.stop()
            raise

    async def _start(self) -> Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "llm_api.grammar.checking_process", stdin=PIPE, stdout=PIPE, start_new_session=True
        )
        await _exchange(self._process, b'start: "a"')
        return self._process


async def _exchange(process: Process, data: bytes) -> bytes:
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    await process.stdin.drain()
    header = await process.stdout.readexactly(LENGTH_BYTES)
    return await process.stdout.readexactly(int.from_bytes(header, "big"))
