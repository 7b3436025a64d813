"""Engine client: runs in the API process, starts the engine process and sends requests to it."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncGenerator, Callable

import msgspec

from llm_api.engine.errors import EngineDied
from llm_api.engine.launcher import EngineProcess
from llm_api.engine.messages import (
    LENGTH_BYTES,
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
    frame,
)
from llm_api.engine.request_stream import RequestStream

PING_SECONDS = 1.0
STOP_SECONDS = 5.0


class EngineClient:
    """Starts the engine process and sends requests to it. Use it from one event loop; it does not import torch."""

    def __init__(self, config: EngineConfig, process: EngineProcess | None = None) -> None:
        """`process`: an engine process that is already running. Without one, `start` starts it."""
        self.state = EngineState(phase="loading")
        self.stats: EngineStats | None = None
        self.on_step: Callable[[EngineStats], None] = lambda _stats: None
        self._config = config
        self._requests: dict[str, RequestStream] = {}
        self._process = process
        self._writer: asyncio.StreamWriter | None = None
        self._settled = asyncio.Event()  # ready or failed
        self._ended = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._last_message = time.monotonic()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Makes the engine process load the model and returns at once; `state` reports the progress."""
        self._process = self._process or EngineProcess()
        reader, self._writer = await asyncio.open_connection(sock=self._process.connection)
        self._last_message = time.monotonic()
        self._writer.write(frame(self._config))
        self._tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._ping())]

    async def wait_ready(self) -> EngineInfo:
        """Waits until the engine is ready. Raises EngineDied with a one-line reason when it cannot load."""
        await self._settled.wait()
        if self.state.info is None:
            raise EngineDied(self.state.error, self.state.exit_code)
        return self.state.info

    async def wait_died(self) -> str:
        """Waits until the process ends without `stop`, and returns the reason."""
        await self._ended.wait()
        return self.state.error or ""

    async def generate(
        self, request_id: str, prompt_token_ids: list[int], sampling: SamplingParams, n: int = 1, *, priority: int = 0, tenant: str = ""
    ) -> AsyncGenerator[list[SequenceOutput]]:
        """Yields the outputs of each step for this request until all n sequences have a finish_reason.

        Closing the iterator early (`aclose` or a cancelled task) cancels the request in the engine. Raises EngineDied.
        """
        if self.state.phase == "failed":
            raise EngineDied(self.state.error, self.state.exit_code)
        stream = self._requests[request_id] = RequestStream(n)
        request = AddRequest(
            request_id=request_id, prompt_token_ids=prompt_token_ids, sampling=sampling, n=n, priority=priority, tenant=tenant
        )
        self._send(request)
        try:
            while stream.unfinished:
                yield await stream.get()
        finally:
            del self._requests[request_id]
            if stream.unfinished:
                self._send(CancelRequest(request_id=request_id))

    def cancel(self, request_id: str, index: int) -> None:
        """Cancels one sequence. `generate` yields no more outputs for it and counts it as finished."""
        if request_id in self._requests:
            self._requests[request_id].drop(index)
            self._send(CancelRequest(request_id=request_id, index=index))

    def seconds_since_progress(self) -> float:
        """Seconds since the engine's last message: a step, a state change, or its answer to a ping between two steps."""
        return time.monotonic() - self._last_message

    async def stop(self) -> None:
        """Sends StopEngine and kills the process after STOP_SECONDS. Requests in flight raise EngineDied."""
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
                header = await reader.readexactly(LENGTH_BYTES)
                body = await reader.readexactly(int.from_bytes(header, "big"))
                self._last_message = time.monotonic()
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
            reason = "the engine process closed its connection but did not exit"
        self._fail(self.state.error or reason)
        self._ended.set()

    def _fail(self, reason: str) -> None:
        self.state = EngineState(phase="failed", error=reason, exit_code=self.state.exit_code)
        self._settled.set()
        for stream in self._requests.values():
            stream.fail(EngineDied(reason, self.state.exit_code))


def _describe(status: int) -> str:
    if status < 0:
        return f"the engine process was killed by {signal.Signals(-status).name}"
    return f"the engine process exited with status {status}"
