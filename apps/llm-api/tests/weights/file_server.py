"""Serves files over HTTP on loopback, with ranges and scripted failures."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    range: str | None


@dataclass
class FileServer:
    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)  # sent instead of the file
    cuts: list[int] = field(default_factory=list)  # the next responses with a body end after this many bytes
    ranges: bool = True
    authorization: str | None = None  # required in every request
    requests: list[Request] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)  # bytes of body, by path

    def ranges_of(self, path: str) -> list[str | None]:
        return [request.range for request in self.requests if request.path == path and request.method == "GET"]


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            server.requests.append(Request(self.command, path, self.headers.get("range")))
            status, body = self._content(path)
            sent = body[: server.cuts.pop(0)] if with_body and server.cuts and status < 300 else body
            self.send_response(status)
            headers = {"content-length": str(len(body)), "content-type": "text/html"} | self._range_headers(path, status)
            for name, value in (headers | server.headers.get(path, {})).items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                with suppress(ConnectionError):  # the client disconnected
                    self.wfile.write(sent)
                server.sent[path] = server.sent.get(path, 0) + len(sent)
            self.close_connection = sent is not body or self.close_connection

        def _content(self, path: str) -> tuple[int, bytes]:
            if server.authorization and self.headers.get("authorization") != server.authorization:
                return 401, b""
            if path not in server.files or path in server.statuses:
                return server.statuses.get(path, 404), b""
            if server.ranges and (wanted := self.headers.get("range")):
                return self._part(server.files[path], wanted.removeprefix("bytes="))
            return 200, server.files[path]

        def _part(self, content: bytes, wanted: str) -> tuple[int, bytes]:
            first, _, last = wanted.partition("-")
            start = int(first) if first else max(0, len(content) - int(last))
            end = min(int(last) + 1, len(content)) if first and last else len(content)
            self._start, self._end = start, end
            return (206, content[start:end]) if start < len(content) else (416, b"")

        def _range_headers(self, path: str, status: int) -> dict[str, str]:
            ranges = {"accept-ranges": "bytes"} if server.ranges else {}
            if status != 206:
                return ranges
            return ranges | {"content-range": f"bytes {self._start}-{self._end - 1}/{len(server.files[path])}"}

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Prints nothing: tests disconnect on purpose."""


@contextmanager
def running(server: FileServer, address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[FileServer]:
    http = _Quiet(address, _handler(server))
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
