"""uvicorn's HTTP protocol, with bounds on a request's head, an orderly end for half-read requests, and OpenAI's error object."""

import asyncio
import uuid
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from llm_api.protocol.errors import ApiError, HeadersTooLarge, InvalidRequest, RequestTimeout

MAX_HEAD = 64 * 1024  # bytes of request line and headers
HEAD_TIMEOUT = 10.0  # seconds from a head's first byte to its last
LINGER = 5.0  # seconds for a client to stop sending and read why


class HttpProtocol(HttpToolsProtocol):
    _head_size = 0
    _head_timer: asyncio.TimerHandle | None = None  # set while a head arrives
    _lingering = False
    lingers_after_response = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._expect_data()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        super().data_received(data)
        if self._head_timer:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(HeadersTooLarge(MAX_HEAD))
        elif self.cycle is None or self.cycle.response_complete:  # empty lines, which are no request
            self._expect_data()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_size = 0
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._head_is_late)

    def on_headers_complete(self) -> None:
        self._end_head()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD:
            self._refuse(HeadersTooLarge(MAX_HEAD))
            raise ValueError  # stops the parser
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(InvalidRequest(msg, code="invalid_http"))

    def on_response_complete(self) -> None:
        if self.lingers_after_response:
            self._linger()
        else:
            super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # Starlette's types
        super()._start_asgi_task(cycle, _Framed(app, cycle, self))  # type: ignore[arg-type]

    def _expect_data(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _head_is_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # a pipelined request can wait
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._head_is_late)
        else:
            self._refuse(RequestTimeout(f"The request's head did not arrive within {HEAD_TIMEOUT:g} seconds."))

    def _end_head(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: ApiError) -> None:
        """Answers what never becomes a request for the application."""
        self._end_head()
        if self._lingering or self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:  # no answer fits into the middle of another
            self.transport.close()
            return
        request_id, body = uuid.uuid4().hex, error.response().model_dump_json().encode()
        structlog.stdlib.get_logger("llm_api.access").info("refused", status=error.status, code=error.code, request_id=request_id)
        headers = {"content-type": "application/json", "content-length": len(body), "x-request-id": request_id, "connection": "close"}
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._linger()

    def _linger(self) -> None:
        """Closing while the client still sends would reset the connection, and the answer with it."""
        if not self.transport.is_closing():
            self._lingering = True
            self.transport.write_eof()
            self.flow.resume_reading()
            self.loop.call_later(LINGER, self.transport.close)


class _Framed:
    """The application, with its response framed for a body that was not read, and for HTTP/1.0."""

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle, protocol: HttpProtocol) -> None:
        self._app = app
        self._cycle = cycle
        self._protocol = protocol
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
        if scope["http_version"] == "1.0" and "content-length" not in Headers(raw=message["headers"]):  # it knows no chunks
            self._ends_with_connection, cycle.chunked_encoding = True, False
        if cycle.more_body:
            cycle.keep_alive = False
        await send(message)
        if cycle.more_body:  # the protocol closes the connection, not uvicorn
            self._protocol.lingers_after_response = cycle.keep_alive = True
