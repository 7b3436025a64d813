"""Ends a part of a request early: at its deadline, when its client disconnects, or when the server refuses or stops it."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

from starlette.types import Receive

from llm_api.protocol.errors import ApiError, GenerationTimeout
from llm_api.server.lifecycle import Lifecycle
from llm_api.telemetry.context import current_request


class ClientLeft(Exception):
    """The client closed the connection before the response was complete."""


class Cutoff:
    """Cancels the block under `armed` at the first of these events, and raises the reason."""

    def __init__(self, lifecycle: Lifecycle, seconds: float, late: ApiError) -> None:
        """Raises `late` when `seconds` have passed since the request arrived."""
        self._lifecycle = lifecycle
        self._remaining = seconds - (time.monotonic() - current_request().arrived)
        self._reason: Exception = late
        self._timeout = asyncio.timeout(None)

    @classmethod
    def of_request(cls, lifecycle: Lifecycle, seconds: float) -> Self:
        """At REQUEST_TIMEOUT."""
        return cls(lifecycle, seconds, GenerationTimeout(f"The request took longer than {seconds:g} seconds and was ended."))

    @asynccontextmanager
    async def armed(self) -> AsyncIterator[None]:
        self._timeout = asyncio.timeout(max(self._remaining, 0))
        try:
            async with self._timeout:
                with self._lifecycle.cuttable(self):
                    yield
        except TimeoutError:
            if self._timeout.expired():
                raise self._reason from None
            raise

    def watching(self, receive: Receive) -> AbstractAsyncContextManager[None]:
        """For use inside `armed`: also ends the block when the client disconnects. The request's body must have been read."""
        return alongside(self._watch(receive))

    def cut(self, reason: Exception) -> None:
        if not self._timeout.expired():
            self._reason = reason
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cut(ClientLeft())


@asynccontextmanager
async def alongside(coroutine: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Runs the coroutine beside the block, and cancels it when the block ends."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
