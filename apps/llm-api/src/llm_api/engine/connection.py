"""The API process's side of a worker process: messages both ways, signs of life, and the reason of its end."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from llm_api.engine.launcher import WorkerProcess
from llm_api.engine.messages import LENGTH_BYTES, Ping, StopEngine, frame

PING_SECONDS = 1.0
STOP_SECONDS = 5.0
Message = TypeVar("Message")


class WorkerConnection(Generic[Message]):
    """Use it from one event loop. The worker answers a Ping with a Pong between two steps."""

    def __init__(
        self, process: WorkerProcess, incoming: Any, on_message: Callable[[Message], None], on_died: Callable[[str], None]
    ) -> None:
        """`incoming`: the type of the worker's messages. `on_died` gets the reason, unless the end was asked for."""
        self._process = process
        self._decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(incoming)
        self._on_message = on_message
        self._on_died = on_died
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._last_message = time.monotonic()

    async def open(self, config: msgspec.Struct) -> None:
        """Sends the configuration, the worker's first message."""
        reader, self._writer = await asyncio.open_connection(sock=self._process.connection)
        self._last_message = time.monotonic()
        self._writer.write(frame(config))
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._ping())]

    def send(self, message: msgspec.Struct) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

    def seconds_since_progress(self) -> float:
        """Seconds since the worker's last message."""
        return time.monotonic() - self._last_message

    async def close(self) -> None:
        """Asks the worker to end, and kills it after STOP_SECONDS."""
        self._stopping = True
        if self._writer is None:
            return
        self.send(StopEngine())
        try:
            await self._process.wait(STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            self.send(Ping())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await reader.readexactly(LENGTH_BYTES)
                body = await reader.readexactly(int.from_bytes(header, "big"))
                self._last_message = time.monotonic()
                self._on_message(self._decoder.decode(body))
        if not self._stopping:
            self._on_died(await self._reason())

    async def _reason(self) -> str:
        name = self._process.name
        try:
            status = await self._process.wait(STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            return f"the {name} process closed its connection but did not exit"
        if status < 0:
            return f"the {name} process was killed by {signal.Signals(-status).name}"
        return f"the {name} process exited with status {status}"
