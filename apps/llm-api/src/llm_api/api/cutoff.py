"""What ends a part of a request early: its deadline, its client leaving, the server giving up on it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.types import Receive

from llm_api.api.alongside import alongside
from llm_api.protocol.errors import ApiError
from llm_api.server.lifecycle import Lifecycle
from llm_api.telemetry.context import current_request


class ClientLeft(Exception):
    """The client closed the connection: nobody reads an answer."""


class Cutoff:
    """A block under `armed` is cancelled, and raises the reason, at the first of the three."""

    def __init__(self, lifecycle: Lifecycle, seconds: float, late: ApiError) -> None:
        """`late`: what is raised `seconds` after the request's arrival."""
        self._lifecycle = lifecycle
        self._remaining = seconds - (time.monotonic() - current_request().arrived)
        self._reason: Exception = late
        self._timeout = asyncio.timeout(None)

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
        """Inside of `armed`: ends it too when the client leaves. `receive`: the request's, its body read."""
        return alongside(self._watch(receive))

    def cut(self, reason: Exception) -> None:
        if not self._timeout.expired():
            self._reason = reason
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cut(ClientLeft())
