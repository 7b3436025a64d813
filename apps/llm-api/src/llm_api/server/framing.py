"""Frames responses to requests whose body was not fully read, and responses over HTTP/1.0."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class FramedApp:
    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle, on_unread: Callable[[], None]) -> None:
        """`on_unread` is called when the response starts before the request's body has fully arrived. It must end the connection."""
        self._app = app
        self._cycle = cycle
        self._on_unread = on_unread
        self._ends_with_connection = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._start(scope, message, send)
            else:
                if self._ends_with_connection:
                    self._cycle.expected_content_length = len(message.get("body", b""))
                await send(message)

        await self._app(scope, receive, framed)

    async def _start(self, scope: Scope, message: Message, send: Send) -> None:
        cycle = self._cycle
        if scope["http_version"] == "1.0" and "content-length" not in Headers(raw=message["headers"]):  # HTTP/1.0 has no chunks
            self._ends_with_connection, cycle.chunked_encoding = True, False
        if cycle.more_body:
            cycle.keep_alive = False
        await send(message)
        if cycle.more_body:
            cycle.keep_alive = True  # else uvicorn would close the connection
            self._on_unread()
