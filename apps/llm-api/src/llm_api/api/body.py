"""Reads request bodies and checks their media type, size and arrival time. Limits the memory of all unfinished bodies."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.types import Message

from llm_api.api.cutoff import ClientLeft, Cutoff
from llm_api.api.request_fields import read_fields
from llm_api.protocol.errors import BodyTooLarge, Overloaded, RequestTimeout, UnsupportedMediaType
from llm_api.server.lifecycle import Lifecycle
from llm_api.settings import Settings
from llm_api.telemetry.context import current_request
from llm_api.telemetry.metrics import Metrics

FULL_BODIES = 16
CONNECTION_BUFFER = 128 * 1024  # bytes of a body that sockets and uvicorn hold, beside those already read

Body = TypeVar("Body", bound=BaseModel)


class BodyReader:
    def __init__(self, settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> None:
        self._max_bytes = int(settings.max_body_size)
        self._timeout = min(settings.body_timeout, settings.request_timeout)
        self._fields = settings.request_fields
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._unfinished = _UnfinishedBodies(self._max_bytes, metrics)

    async def read(self, request: Request, model: type[Body]) -> Body:
        """Raises UnsupportedMediaType, BodyTooLarge, RequestTimeout, Overloaded, InvalidRequest or ClientLeft."""
        self._check_type(request)
        self._check_size(int(request.headers.get("content-length", 0)))
        cutoff = Cutoff(self._lifecycle, self._timeout, RequestTimeout(f"The body did not arrive within {self._timeout:g} seconds."))
        async with cutoff.armed():
            with self._unfinished.receiving(cutoff) as count:
                body = await self._collect(request, count)
        current_request().body_bytes = len(body)
        return read_fields(body, model, current_request().request_fields or self._fields, self._metrics)

    async def _collect(self, request: Request, count: Callable[[int], None]) -> bytes:
        chunks, size = [], 0
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            count(len(chunks[-1]))
            self._check_size(size)
        return b"".join(chunks)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyTooLarge(f"The body is larger than this server's limit of {self._max_bytes} bytes; send less.")

    def _check_type(self, request: Request) -> None:
        content_type, encoding = request.headers.get("content-type", ""), request.headers.get("content-encoding", "identity")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType("The body must be JSON, with the header `Content-Type: application/json`.")
        if encoding.strip().lower() != "identity":
            raise UnsupportedMediaType("Compressed bodies are not supported; remove the header Content-Encoding.")


class _UnfinishedBodies:
    """Limits the memory of bodies that are still arriving to that of FULL_BODIES bodies of the largest allowed size.

    Above that, the oldest unfinished bodies are refused. Unfinished bodies take no admission places, so slow clients
    do not block others.
    """

    def __init__(self, max_body_size: int, metrics: Metrics) -> None:
        self._limit = FULL_BODIES * (max_body_size + CONNECTION_BUFFER)
        self._metrics = metrics
        self._sizes: dict[Cutoff, int] = {}  # the oldest first
        self._total = 0

    @contextmanager
    def receiving(self, cutoff: Cutoff) -> Iterator[Callable[[int], None]]:
        """Yields a function to call with the number of bytes of each chunk read. Cuts `cutoff` when the body is refused."""
        self._sizes[cutoff] = 0
        self._grow(cutoff, CONNECTION_BUFFER)
        try:
            yield partial(self._grow, cutoff)
        finally:
            self._total -= self._sizes.pop(cutoff, 0)

    def _grow(self, cutoff: Cutoff, size: int) -> None:
        if cutoff not in self._sizes:  # already refused
            return
        self._sizes[cutoff] += size
        self._total += size
        while self._total > self._limit:
            self._refuse(next(iter(self._sizes)))

    def _refuse(self, cutoff: Cutoff) -> None:
        self._total -= self._sizes.pop(cutoff)
        self._metrics.rejected("unread_bodies")
        cutoff.cut(Overloaded("This server is receiving too many unfinished request bodies; send the body again, faster."))
