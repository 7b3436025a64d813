"""Stands in for an engine's HTTP API where a real one cannot be had, or cannot be made to misbehave: it sends what a test says."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["Exchange"], None]
MODEL = "engine/model-7b"
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@dataclass
class Exchange:
    """A request to the engine, and its connection."""

    handler: BaseHTTPRequestHandler
    path: str
    body: dict[str, Any]

    def json(self, content: Any, status: int = 200) -> None:
        self.raw(json.dumps(content).encode(), status, "application/json")

    def raw(self, content: bytes, status: int = 200, kind: str = "text/plain") -> None:
        self.handler.send_response(status)
        self.handler.send_header("content-type", kind)
        self.handler.send_header("content-length", str(len(content)))
        self.handler.end_headers()
        self.handler.wfile.write(content)

    def begin_events(self) -> None:
        self.handler.send_response(200)
        self.handler.send_header("content-type", "text/event-stream")
        self.handler.send_header("transfer-encoding", "chunked")
        self.handler.end_headers()

    def send(self, block: bytes) -> None:
        self.handler.wfile.write(b"%x\r\n%b\r\n" % (len(block), block))

    def event(self, content: Any) -> None:
        self.send(b"data: " + json.dumps(content).encode() + b"\n\n")

    def end_events(self, last: bytes = b"data: [DONE]\n\n") -> None:
        if last:
            self.send(last)
        self.handler.wfile.write(b"0\r\n\r\n")

    def events(self, *contents: Any, last: bytes = b"data: [DONE]\n\n") -> None:
        self.begin_events()
        for content in contents:
            self.event(content)
        self.end_events(last)

    def drop(self) -> None:
        """Closes the connection."""
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)

    def wait_left(self) -> None:
        """Waits until the front closes the connection."""
        self.handler.connection.settimeout(10)
        assert self.handler.connection.recv(1) == b""
        self.handler.close_connection = True


@dataclass
class ScriptedUpstream:
    url: str = ""
    gets: dict[str, tuple[int, Any]] = field(default_factory=dict)
    replies: list[Reply] = field(default_factory=list)  # one for each POST, in order; the last one also for all further ones
    requests: list[Exchange] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)  # set when the front has closed a connection early

    def answers(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests.clear()

    @property
    def body(self) -> dict[str, Any]:
        return self.requests[-1].body


VLLM: dict[str, tuple[int, Any]] = {
    "/health": (200, ""),
    "/version": (200, {"version": "0.32.0"}),
    "/v1/models": (200, {"object": "list", "data": [{"id": MODEL, "owned_by": "vllm", "max_model_len": 4096}]}),
    "/metrics": (200, "vllm:generation_tokens_total 0.0\n"),
}


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The front closes connections in the middle."""


@contextmanager
def scripted_upstream(gets: dict[str, tuple[int, Any]] | None = None) -> Iterator[ScriptedUpstream]:
    upstream = ScriptedUpstream(gets=dict(VLLM if gets is None else gets))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, content = upstream.gets.get(self.path, (404, {"detail": "Not Found"}))
            exchange = Exchange(self, self.path, {})
            exchange.raw(content.encode(), status) if isinstance(content, str) else exchange.json(content, status)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            exchange = Exchange(self, self.path, body)
            upstream.headers.append({name.lower(): value for name, value in self.headers.items()})
            upstream.requests.append(exchange)
            reply = upstream.replies[min(len(upstream.requests), len(upstream.replies)) - 1]
            try:
                reply(exchange)
            except (BrokenPipeError, ConnectionResetError):
                upstream.left.set()
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    upstream.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(text: str = "Hi", **choice: Any) -> dict[str, Any]:
    """A whole chat completion."""
    found = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", **choice}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [found], "usage": usage}


def piece(delta: dict[str, Any], finish: str | None = None, index: int = 0, **choice: Any) -> dict[str, Any]:
    """An event of a streamed chat completion."""
    found = {"index": index, "delta": delta, "finish_reason": finish, **choice}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [found]}


def counted(prompt: int = 5, completion: int = 2) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}}
