"""What ends a generation early: its deadline, its client leaving, the server giving up on it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

from starlette.types import Receive

from llm_api.api.alongside import alongside
from llm_api.lifecycle import Lifecycle
from llm_api.protocol.errors import GenerationTimeout
from llm_api.telemetry.context import current_request


class ClientLeft(Exception):
    """The client closed the connection: nobody reads an answer."""


class Cutoff:
    """A block under `armed` is cancelled, and raises the reason, at the first of the three."""

    def __init__(self, lifecycle: Lifecycle, request_timeout: float) -> None:
        self._lifecycle = lifecycle
        self._remaining = request_timeout - (time.monotonic() - current_request().arrived)
        self._reason: Exception = GenerationTimeout(f"The request took longer than {request_timeout:g} seconds and was ended.")
        self._timeout = asyncio.timeout(None)

    @asynccontextmanager
    async def armed(self, receive: Receive) -> AsyncIterator[Self]:
        """`receive`: the request's, its body read."""
        self._timeout = asyncio.timeout(max(self._remaining, 0))
        try:
            async with self._timeout:
                with self._lifecycle.generating(self):
                    async with alongside(self._watch(receive)):
                        yield self
        except TimeoutError:
            if self._timeout.expired():
                raise self._reason from None
            raise

    def cut(self, reason: Exception) -> None:
        if not self._timeout.expired():
            self._reason = reason
            self._timeout.reschedule(asyncio.get_running_loop().time())

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.cut(ClientLeft())
