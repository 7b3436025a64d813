"""uvicorn's HTTP protocol with four additions: limits on a request's head, declined upgrades, a clean end for partly read requests,
and OpenAI's error object for invalid HTTP, which never costs the answers to the requests before it."""

import asyncio
import uuid
from http import HTTPStatus

import structlog
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from llm_api.protocol.errors import ApiError, HeadersTooLarge, InvalidRequest, RequestTimeout
from llm_api.server.declined_upgrades import UpgradeDecliningParser
from llm_api.server.framing import FramedApp

MAX_HEAD = 64 * 1024  # bytes of request line and headers
HEAD_TIMEOUT = 10.0  # seconds from the first byte of a head to its last
LINGER = 5.0  # seconds that a refused client has to stop sending and read the response
FIRST_PROBE, LAST_PROBE = 0.1, 5.0  # seconds between probes of a client that may have left; each interval doubles the previous one


class HttpProtocol(HttpToolsProtocol):
    _head_size = 0
    _head_timer: asyncio.TimerHandle | None = None  # set while a head arrives
    _ignores_data = False
    _lingers_after_response = False
    _running: RequestResponseCycle | None = None  # pipelined requests wait for its response; `cycle` is the newest of them

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.parser = UpgradeDecliningParser(self)  # type: ignore[assignment]  # has all methods of it that uvicorn calls
        self._expect_data()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ignores_data:
            return
        super().data_received(data)
        if self._head_timer:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._refuse(HeadersTooLarge(MAX_HEAD))
        elif self.cycle is None or self.cycle.response_complete:  # empty lines, which are not a request
            self._expect_data()

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn never keeps the connection
        """A client that closes its sending side may have disconnected, or may still read. Only sending something shows which.

        So the request is still answered, and interim responses probe the client until the response starts. If the response has
        started, or over HTTP/1.0, which has no interim responses, the client counts as having left.
        """
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.response_started or self.pipeline or cycle.scope["http_version"] == "1.0":
            return False
        cycle.keep_alive = False
        self._probe(FIRST_PROBE)
        return True

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_size = 0
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._head_is_late)

    def on_headers_complete(self) -> None:
        self._end_head()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD:
            self._refuse(HeadersTooLarge(MAX_HEAD))
            raise ValueError  # stops the parser
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(InvalidRequest(msg, code="invalid_http"))

    def on_response_complete(self) -> None:
        if self._lingers_after_response:
            self._linger()
        else:
            super().on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # Starlette's types
        self._running = cycle
        super()._start_asgi_task(cycle, FramedApp(app, cycle, self._linger_after_response))  # type: ignore[arg-type]

    def _linger_after_response(self) -> None:
        self._lingers_after_response = True

    def _expect_data(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _probe(self, delay: float) -> None:
        """A client that still reads ignores interim responses. If it has left, the first one makes its host reset the connection,
        and the next one fails."""
        if not (self.cycle.response_started or self.transport.is_closing()):
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.loop.call_later(delay, self._probe, min(2 * delay, LAST_PROBE))

    def _head_is_late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # a pipelined request may wait for the response before it
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self._head_is_late)
        else:
            self._refuse(RequestTimeout(f"The request's head did not arrive within {HEAD_TIMEOUT:g} seconds."))

    def _end_head(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: ApiError) -> None:
        """Answers invalid HTTP, and ends the connection once earlier requests have their responses."""
        self._end_head()
        if self._ignores_data or self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._respond(error)
        elif not cycle.more_body:
            self._end_after(cycle)
        elif self.pipeline:
            self.pipeline.popleft()  # its body is invalid
            self._end_after(self.pipeline[0][0] if self.pipeline else self._running)
        elif cycle.response_started:  # an error cannot be sent in the middle of a response
            self.transport.close()
        else:
            cycle.disconnected = True  # the application's response, if any, is not sent
            cycle.message_event.set()
            self._respond(error)

    def _end_after(self, last: RequestResponseCycle | None) -> None:
        self._ignores_data = True
        if last is not None:
            last.keep_alive = False

    def _respond(self, error: ApiError) -> None:
        request_id, body = uuid.uuid4().hex, error.response().model_dump_json().encode()
        structlog.stdlib.get_logger("llm_api.access").info("refused", status=error.status, code=error.code, request_id=request_id)
        headers = {"content-type": "application/json", "content-length": len(body), "x-request-id": request_id, "connection": "close"}
        lines = [f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        self._linger()

    def _linger(self) -> None:
        """Closing while the client still sends would reset the connection, and the answer with it."""
        if not self.transport.is_closing():
            self._ignores_data = True
            self.transport.write_eof()
            self.flow.resume_reading()
            self.loop.call_later(LINGER, self.transport.close)
