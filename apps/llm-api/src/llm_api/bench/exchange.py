"""One HTTP request to a server, whose response is kept piece by piece with the arrival times.

It does not use httpx2, and parses nothing before the load is over, because the client shares the machine with the measured server.
Measured CPU time per streamed chunk: openai client 240 us, httpx2 90 us, this 20 us.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from httptools import HttpResponseParser

DEFAULT_PORTS = {"http": 80, "https": 443}


class BenchError(Exception):
    """The message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server to measure."""

    name: str
    host: str
    port: int
    tls: bool = False
    path: str = ""  # before /v1
    model: str | None = None  # None: the first one of /v1/models
    api_key: str | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.path}"


def parse_target(text: str, api_key: str | None = None) -> Target:
    """`text` is name=URL, or name=URL#model for a server that does not list its models. Raises BenchError."""
    name, equals, url = text.partition("=")
    parts = urlsplit(url)
    if not (name and equals and parts.scheme in DEFAULT_PORTS and parts.hostname):
        raise BenchError(f"{text!r} does not name a server: write name=http://host:port, or name=http://host:port#model")
    path = parts.path.rstrip("/").removesuffix("/v1")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    return Target(name, parts.hostname, port, parts.scheme == "https", path, parts.fragment or None, api_key)


@dataclass(slots=True)
class Exchange:
    """Times are seconds of the perf_counter clock. `failure` is None for a complete response of any status."""

    status: int = 0
    server: str = ""
    sent: float = 0.0
    ended: float = 0.0
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    failure: str | None = None

    @property
    def body(self) -> bytes:
        return b"".join(piece for _, piece in self.pieces)


class _Receiver(asyncio.Protocol):
    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.parser = HttpResponseParser(self)
        self.done = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except Exception as error:
            self._end(f"not HTTP: {error}")

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"server":
            self.exchange.server = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.exchange.pieces.append((time.perf_counter(), body))

    def on_message_complete(self) -> None:
        self._end(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(str(error) if error else "the connection closed before the response ended")

    def _end(self, failure: str | None) -> None:
        if not self.done.done():
            self.exchange.status = self.parser.get_status_code()
            self.exchange.failure = failure
            self.done.set_result(None)


def _head(target: Target, method: str, path: str, body: bytes) -> bytes:
    lines = [
        f"{method} {target.path}{path} HTTP/1.1",
        f"host: {target.host}:{target.port}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    if target.api_key:
        lines.append(f"authorization: Bearer {target.api_key}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def exchange(target: Target, method: str, path: str, payload: object | None = None, seconds: float = 300) -> Exchange:
    """Reports errors of the server and the network in `failure`, and raises none. `sent` is taken after connecting."""
    result = Exchange()
    body = b"" if payload is None else json.dumps(payload).encode()
    try:
        async with asyncio.timeout(seconds):
            loop = asyncio.get_running_loop()
            transport, receiver = await loop.create_connection(lambda: _Receiver(result), target.host, target.port, ssl=target.tls or None)
            try:
                result.sent = time.perf_counter()
                transport.write(_head(target, method, path, body) + body)
                await receiver.done
            finally:
                transport.abort()
    except TimeoutError:
        result.failure = f"no complete response after {seconds:.0f} s"
    except OSError as error:
        result.failure = str(error)
    result.ended = time.perf_counter()
    return result
