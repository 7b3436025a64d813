"""Reads a request's body, bounded in type, size and time, and validates it."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Message

from llm_api.api.cutoff import ClientLeft, Cutoff
from llm_api.api.unread_bodies import UnreadBodies
from llm_api.api.validation import invalid_request
from llm_api.protocol.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType
from llm_api.server.lifecycle import Lifecycle
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

Body = TypeVar("Body", bound=BaseModel)


class BodyReader:
    def __init__(self, settings: Settings, lifecycle: Lifecycle, metrics: Metrics) -> None:
        self._max_bytes = int(settings.max_body_size)
        self._timeout = min(settings.body_timeout, settings.request_timeout)
        self._lifecycle = lifecycle
        self._unread = UnreadBodies(self._max_bytes, metrics)

    async def read(self, request: Request, model: type[Body]) -> Body:
        """Raises UnsupportedMediaType, BodyTooLarge, RequestTimeout, Overloaded, InvalidRequest or ClientLeft."""
        self._check_type(request)
        self._check_size(int(request.headers.get("content-length", 0)))
        cutoff = Cutoff(self._lifecycle, self._timeout, RequestTimeout(f"The body did not arrive within {self._timeout:g} seconds."))
        async with cutoff.armed():
            with self._unread.receiving(cutoff) as received:
                body = await self._collect(request, received)
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            raise invalid_request(error) from None

    async def _collect(self, request: Request, received: Callable[[int], None]) -> bytes:
        chunks, size = [], 0
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            received(len(chunks[-1]))
            self._check_size(size)
        return b"".join(chunks)

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            raise BodyTooLarge(f"The body is larger than the {self._max_bytes} bytes that this server takes; send less.")

    def _check_type(self, request: Request) -> None:
        content_type, encoding = request.headers.get("content-type", ""), request.headers.get("content-encoding", "identity")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise UnsupportedMediaType("The body must be JSON, with the header `Content-Type: application/json`.")
        if encoding.strip().lower() != "identity":
            raise UnsupportedMediaType("Compressed bodies are not supported; leave out the header Content-Encoding.")
