"""Engine client: runs in the API process, starts the engine process and sends requests to it."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from llm_api.engine.connection import WorkerConnection
from llm_api.engine.errors import EngineDied
from llm_api.engine.launcher import WorkerProcess
from llm_api.engine.messages import (
    AddRequest,
    CancelRequest,
    EngineConfig,
    EngineInfo,
    EngineState,
    EngineStats,
    FromEngine,
    Pong,
    SamplingParams,
    SequenceOutput,
    StepOutput,
)
from llm_api.engine.request_stream import RequestStream


class EngineClient:
    """Starts the engine process and sends requests to it. Use it from one event loop; it does not import torch."""

    def __init__(self, config: EngineConfig, process: WorkerProcess | None = None) -> None:
        """`process`: an engine process that is already running. Without one, `start` starts it."""
        self.state = EngineState(phase="loading")
        self.stats: EngineStats | None = None
        self.on_step: Callable[[EngineStats], None] = lambda _stats: None
        self._config = config
        self._requests: dict[str, RequestStream] = {}
        self._process = process
        self._connection: WorkerConnection[FromEngine] | None = None
        self._settled = asyncio.Event()  # ready or failed
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Makes the engine process load the model and returns at once; `state` reports the progress."""
        self._process = self._process or WorkerProcess("engine", "llm_api.engine")
        self._connection = WorkerConnection(self._process, FromEngine, self._dispatch, self._died)
        await self._connection.open(self._config)

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
        return 0.0 if self._connection is None else self._connection.seconds_since_progress()

    async def stop(self) -> None:
        """Stops the process, or kills it if it does not end. Requests in flight raise EngineDied."""
        if self._connection is not None:
            await self._connection.close()
            self._fail(self.state.error or "the engine was stopped")

    def _send(self, message: AddRequest | CancelRequest) -> None:
        if self._connection is not None:
            self._connection.send(message)

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

    def _died(self, reason: str) -> None:
        self._fail(self.state.error or reason)
        self._ended.set()

    def _fail(self, reason: str) -> None:
        self.state = EngineState(phase="failed", error=reason, exit_code=self.state.exit_code)
        self._settled.set()
        for stream in self._requests.values():
            stream.fail(EngineDied(reason, self.state.exit_code))
