"""The API process's end of the engine."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Callable

import msgspec

from llm_api.engine.launcher import EngineProcess
from llm_api.engine.messages import (
    AddRequest,
    CancelRequest,
    EngineConfig,
    EngineInfo,
    EngineState,
    EngineStats,
    FromEngine,
    Ping,
    Pong,
    SamplingParams,
    SequenceOutput,
    StepOutput,
    StopEngine,
    ToEngine,
)
from llm_api.engine.wire import LENGTH, frame

PING_SECONDS = 1.0
STOP_SECONDS = 5.0


class EngineDied(Exception):
    """The engine process ended, or refused to load. Every request in flight gets this."""


class RequestStream:
    """The outputs of one request on their way to its handler, and which of its sequences still owe some."""

    def __init__(self, n: int) -> None:
        self.unfinished = set(range(n))
        self._pending: list[SequenceOutput] = []
        self._arrived = asyncio.Event()
        self._died: EngineDied | None = None

    def put(self, output: SequenceOutput) -> None:
        if output.index in self.unfinished:
            self._pending.append(output)
            self._arrived.set()

    def fail(self, error: EngineDied) -> None:
        self._died = error
        self._arrived.set()

    def drop(self, index: int) -> None:
        """Nothing more is wanted of this sequence."""
        self.unfinished.discard(index)
        self._arrived.set()  # whoever waits for it alone is done

    async def get(self) -> list[SequenceOutput]:
        """What has come: several steps' outputs together if nobody took them sooner."""
        await self._arrived.wait()
        outputs, self._pending = self._pending, []
        if self._died is None:
            self._arrived.clear()
        elif not outputs:
            raise self._died
        self.unfinished -= {output.index for output in outputs if output.finish_reason is not None}
        return outputs


class EngineClient:
    """Starts the engine process and passes requests to it. One event loop, no torch."""

    def __init__(self, config: EngineConfig, process: EngineProcess | None = None) -> None:
        """`process`: one that was started ahead; else `start` starts it."""
        self.state = EngineState(phase="loading")
        self.stats: EngineStats | None = None
        self.on_step: Callable[[EngineStats], None] = lambda _stats: None
        self._config = config
        self._requests: dict[str, RequestStream] = {}
        self._process = process
        self._writer: asyncio.StreamWriter | None = None
        self._settled = asyncio.Event()  # ready, or never going to be
        self._ended = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._last_sign = time.monotonic()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Has the process load the model and returns at once; `state` tells how that goes."""
        self._process = self._process or EngineProcess()
        reader, self._writer = await asyncio.open_connection(sock=self._process.connection)
        self._last_sign = time.monotonic()
        self._writer.write(frame(self._config))
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._ping())]

    async def wait_ready(self) -> EngineInfo:
        """Returns once the engine is ready. Raises EngineDied with its one-line reason when it cannot load."""
        await self._settled.wait()
        if self.state.info is None:
            raise EngineDied(self.state.error)
        return self.state.info

    async def wait_died(self) -> str:
        """Returns the reason when the process has ended without `stop`; else waits forever."""
        await self._ended.wait()
        return self.state.error or ""

    async def generate(
        self, request_id: str, prompt_token_ids: list[int], sampling: SamplingParams, n: int = 1
    ) -> AsyncGenerator[list[SequenceOutput]]:
        """Yields what each step made for this request, until all n sequences have a finish_reason.

        Closing the iterator early (aclose, task cancelled) cancels the request in the engine. Raises EngineDied.
        """
        if self.state.phase == "failed":
            raise EngineDied(self.state.error)
        stream = self._requests[request_id] = RequestStream(n)
        self._send(AddRequest(request_id=request_id, prompt_token_ids=prompt_token_ids, sampling=sampling, n=n))
        try:
            while stream.unfinished:
                yield await stream.get()
        finally:
            del self._requests[request_id]
            if stream.unfinished:
                self._send(CancelRequest(request_id=request_id))

    def cancel(self, request_id: str, index: int) -> None:
        """Ends one sequence; no more outputs come for it and `generate` counts it as finished."""
        if request_id in self._requests:
            self._requests[request_id].drop(index)
            self._send(CancelRequest(request_id=request_id, index=index))

    def seconds_since_progress(self) -> float:
        """The age of the engine's last sign: a step, a change of state, or its answer to a ping between two steps."""
        return time.monotonic() - self._last_sign

    async def stop(self) -> None:
        """Ends the process that `start` had load: asks, then after some seconds kills. Requests in flight get EngineDied."""
        self._stopping = True
        if self._process is None or self._writer is None:
            return
        self._send(StopEngine())
        try:
            await self._process.wait(STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writer.close()
        self._fail(self.state.error or "the engine was stopped")

    def _send(self, message: ToEngine) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame(message))

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            self._send(Ping())

    async def _read(self, reader: asyncio.StreamReader) -> None:
        decoder = msgspec.msgpack.Decoder(FromEngine)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                header = await reader.readexactly(LENGTH)
                body = await reader.readexactly(int.from_bytes(header, "big"))
                self._last_sign = time.monotonic()
                self._dispatch(decoder.decode(body))
        await self._die()

    def _dispatch(self, message: FromEngine) -> None:
        match message:
            case StepOutput(outputs=outputs, stats=stats):
                self.stats = stats
                for output in outputs:
                    if stream := self._requests.get(output.request_id):
                        stream.put(output)
                self.on_step(stats)
            case EngineState():
                self.state = message
                if message.info is not None:
                    self._settled.set()
            case Pong():
                pass

    async def _die(self) -> None:
        if self._process is None or self._stopping:
            return
        try:
            reason = _describe(await self._process.wait(STOP_SECONDS))
        except TimeoutError:
            self._process.kill()
            reason = "the engine process closed its connection and did not end"
        self._fail(self.state.error or reason)
        self._ended.set()

    def _fail(self, reason: str) -> None:
        self.state = EngineState(phase="failed", error=reason)
        self._settled.set()
        for stream in self._requests.values():
            stream.fail(EngineDied(reason))


def _describe(status: int) -> str:
    if status < 0:
        return f"the engine process was killed by {signal.Signals(-status).name}"
    return f"the engine process exited with status {status}"
