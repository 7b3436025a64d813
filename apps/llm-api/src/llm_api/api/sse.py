"""Server-sent events: a real HTTP status for early failures, an error event for late ones, comments while nothing is sent."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from llm_api.api.cutoff import ClientLeft, Cutoff, alongside
from llm_api.api.request_fields import ignored_fields_header
from llm_api.api.responses import as_api_error
from llm_api.protocol.errors import ApiError
from llm_api.settings import Settings

DONE = b"data: [DONE]\n\n"
COMMENT = b": keep-alive\n\n"
# Ends of lines in Unicode, not in server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Clients that
# split lines with Python's str.splitlines would cut an event there, so they are sent as JSON escapes.
LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in ("\x85", "\u2028", "\u2029")}
LAST_WRITE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class StreamForm:
    """`named`: events have the type of their chunk as name. `end`: the last bytes. `error`: the data of an event for a late error.

    It gets the number of events before it.
    """

    named: bool = False
    end: bytes = DONE
    error: Callable[[ApiError, int], BaseModel] = lambda error, _number: error.response()


CHUNKS = StreamForm()


class EventStream(Response):
    """Sends each chunk as soon as it is ready. Holds the status back until the first chunk, for at most FIRST_TOKEN_TIMEOUT."""

    media_type = "text/event-stream"

    def __init__(
        self,
        chunks: AsyncGenerator[BaseModel],
        places: AbstractContextManager[None],
        cutoff: Cutoff,
        settings: Settings,
        omitted: set[str] | None,
        form: StreamForm = CHUNKS,
    ) -> None:
        """`places`: held while the stream lasts. `omitted`: fields of the chunks that are not sent.

        `chunks` is closed when the stream ends early.
        """
        self.status_code = 200
        self.background = None
        self.init_headers({"cache-control": "no-cache", "x-accel-buffering": "no"})
        self._chunks = chunks
        self._places = places
        self._cutoff = cutoff
        self._settings = settings
        self._omitted = omitted
        self._form = form
        self._events = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        output = _Output(send, self.raw_headers)
        try:
            with self._places:
                await self._send_chunks(output, receive)
            await self._end(output, self._form.end)
        except ClientLeft:
            raise
        except Exception as error:
            if not output.started:
                raise
            await self._end(output, _event(self._form.error(as_api_error(error), self._events), self._form))

    async def _end(self, output: "_Output", data: bytes) -> None:
        """Closes the connection of a client that does not read the last event, so that the client does not keep its place."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WRITE):
                await output.end(data)

    async def _send_chunks(self, output: "_Output", receive: Receive) -> None:
        async with (
            aclosing(self._chunks) as chunks,
            self._cutoff.armed(),
            self._cutoff.watching(receive),
            alongside(self._fill_silence(output)),
        ):
            async for chunk in chunks:
                await output.write(_event(chunk, self._form, self._omitted))
                self._events += 1

    async def _fill_silence(self, output: "_Output") -> None:
        clock, interval = asyncio.get_running_loop().time, self._settings.sse_keepalive
        first = clock() + self._settings.first_token_timeout
        while True:
            due = output.last_write + interval if output.started else first
            if (delay := due - clock()) > 0:
                await asyncio.sleep(min(delay, interval))
            else:
                await output.write(COMMENT if output.started else b"")


def _event(data: BaseModel, form: StreamForm, omitted: set[str] | None = None) -> bytes:
    text = data.model_dump_json(exclude=omitted).encode()
    for end, escaped in LINE_ENDS.items():
        text = text.replace(end, escaped)
    name = b"event: %b\n" % str(getattr(data, "type", "error")).encode() if form.named else b""
    return b"%bdata: %b\n\n" % (name, text)


class _Output:
    """Writes the response. The first write sends the status."""

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = False
        self.last_write = 0.0
        self._send = send
        self._headers = headers
        self._clock = asyncio.get_running_loop().time
        self._opening = asyncio.Lock()

    async def write(self, data: bytes) -> None:
        if not self.started:
            await self._open()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self.last_write = self._clock()

    async def end(self, data: bytes) -> None:
        if not self.started:
            await self._open()
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    async def _open(self) -> None:
        async with self._opening:
            if not self.started:
                ignored = [(name.encode(), value.encode()) for name, value in ignored_fields_header().items()]
                await self._send({"type": "http.response.start", "status": 200, "headers": self._headers + ignored})
                self.started = True
