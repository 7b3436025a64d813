"""Runs in the API process: starts the embedding process and sends inputs to it."""

import asyncio
import itertools
from dataclasses import dataclass, field

from llm_api.embedding.messages import (
    CancelInputs,
    Embedded,
    EmbeddingConfig,
    EmbeddingFailed,
    EmbeddingInfo,
    EmbeddingState,
    EmbedInputs,
    FromEmbedding,
)
from llm_api.engine.connection import WorkerConnection
from llm_api.engine.launcher import WorkerProcess


class EmbeddingError(Exception):
    """The process failed on this request, or as a whole. One sentence for the client."""


@dataclass(slots=True)
class _Request:
    vectors: list[bytes]
    left: int
    done: asyncio.Future[list[bytes]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class EmbeddingClient:
    """Use it from one event loop; it does not import torch."""

    def __init__(self, config: EmbeddingConfig, process: WorkerProcess | None = None) -> None:
        """`process`: one that is already running. Without one, `start` starts it."""
        self.state = EmbeddingState(phase="loading")
        self._config = config
        self._process = process
        self._connection: WorkerConnection[FromEmbedding] | None = None
        self._requests: dict[int, _Request] = {}
        self._ids = itertools.count()
        self._settled = asyncio.Event()  # ready or failed
        self._ended = asyncio.Event()

    async def start(self) -> None:
        """Makes the process load the model and returns at once; `state` reports the progress."""
        process = self._process or WorkerProcess("embedding", "llm_api.embedding")
        self._connection = WorkerConnection(process, FromEmbedding, self._dispatch, self._died)
        await self._connection.open(self._config)

    async def wait_ready(self) -> EmbeddingInfo:
        """Raises EmbeddingError with the reason when the model cannot be loaded."""
        await self._settled.wait()
        if self.state.info is None:
            raise EmbeddingError(self.state.error or "")
        return self.state.info

    async def wait_died(self) -> str:
        """Waits until the process ends without `stop`, and returns the reason."""
        await self._ended.wait()
        return self.state.error or ""

    async def embed(self, inputs: list[list[int]]) -> list[bytes]:
        """The embedding of each input as little-endian float32. A cancelled call drops its inputs. Raises EmbeddingError."""
        if self.state.phase == "failed" or self._connection is None:
            raise EmbeddingError("The embedding model has failed.")
        request_id = next(self._ids)
        request = self._requests[request_id] = _Request([b""] * len(inputs), len(inputs))
        self._connection.send(EmbedInputs(request_id=request_id, inputs=inputs))
        try:
            return await request.done
        finally:
            del self._requests[request_id]
            if not request.done.done() or request.done.cancelled():
                self._connection.send(CancelInputs(request_id=request_id))

    def seconds_since_progress(self) -> float:
        """Seconds since the process's last message: a batch, or its answer to a ping between two batches."""
        return 0.0 if self._connection is None else self._connection.seconds_since_progress()

    async def stop(self) -> None:
        """Stops the process, or kills it if it does not end. Requests in flight raise EmbeddingError."""
        if self._connection is not None:
            await self._connection.close()
            self._fail(self.state.error or "the embedding process was stopped")

    def _dispatch(self, message: FromEmbedding) -> None:
        match message:
            case Embedded():
                self._take(message)
            case EmbeddingFailed(request_id=request_id, error=error):
                if request := self._requests.get(request_id):
                    _refuse(request, error)
            case EmbeddingState():
                self.state = message
                if message.info is not None:
                    self._settled.set()

    def _take(self, message: Embedded) -> None:
        if request := self._requests.get(message.request_id):
            for index, vector in zip(message.indexes, message.vectors, strict=True):
                request.vectors[index] = vector
            request.left -= len(message.indexes)
            if not request.left and not request.done.done():
                request.done.set_result(request.vectors)

    def _died(self, reason: str) -> None:
        self._fail(self.state.error or reason)
        self._ended.set()

    def _fail(self, reason: str) -> None:
        self.state = EmbeddingState(phase="failed", error=reason, exit_code=self.state.exit_code)
        self._settled.set()
        for request in self._requests.values():
            _refuse(request, "The embedding model has failed.")


def _refuse(request: _Request, error: str) -> None:
    if not request.done.done():
        request.done.set_exception(EmbeddingError(error))
