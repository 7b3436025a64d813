"""Reads a request's body, bounded in type, size and time, and validates it."""

import asyncio
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import Message

from llm_api.api.cutoff import ClientLeft
from llm_api.api.validation import invalid_request
from llm_api.protocol.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType

Body = TypeVar("Body", bound=BaseModel)


class BodyReader:
    def __init__(self, max_bytes: int, timeout: float) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def read(self, request: Request, model: type[Body]) -> Body:
        """Raises UnsupportedMediaType, BodyTooLarge, RequestTimeout, InvalidRequest or ClientLeft."""
        self._check_type(request)
        self._check_size(int(request.headers.get("content-length", 0)))
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._collect(request)
        except TimeoutError:
            raise RequestTimeout(f"The body did not arrive within {self._timeout:g} seconds.") from None
        try:
            return model.model_validate_json(body)
        except ValidationError as error:
            raise invalid_request(error) from None

    async def _collect(self, request: Request) -> bytes:
        chunks, size = [], 0
        message: Message = {"more_body": True}
        while message.get("more_body"):
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
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
