"""What clients may do to the protocol itself: large and slow heads, bodies nobody reads, HTTP/1.0, pipelines."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse

import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import Script, ScriptedService

GET = b"GET /livez HTTP/1.1\r\nHost: t\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    service = ScriptedService()
    service.scripts |= {"hold": Script(hold_after=2), "hold at first": Script(hold_after=0)}
    with running_server(service, max_body_size=1000, body_timeout=1) as running:
        yield running


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.server.http_protocol.HEAD_TIMEOUT", 0.4)
    monkeypatch.setattr("llm_api.server.http_protocol.LINGER", 0.4)


@contextmanager
def connected(server: RunningServer) -> Iterator[socket.socket]:
    with socket.create_connection(server.address, timeout=5) as connection:
        yield connection


def answer(connection: socket.socket) -> HTTPResponse:
    """Read to its end, so that the connection can be asked what follows."""
    response = HTTPResponse(connection)
    response.begin()
    response.body = response.read()  # type: ignore[attr-defined]
    return response


def refusal(connection: socket.socket) -> tuple[int, str]:
    """Status and code of a refusal after which the connection is closed."""
    response = answer(connection)
    error = json.loads(response.body)["error"]  # type: ignore[attr-defined]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert response.headers["connection"] == "close"
    assert response.headers["x-request-id"]
    assert connection.recv(1) == b""
    return response.status, error["code"]


def post(body: bytes, version: str = "1.1", *headers: str) -> bytes:
    lines = [f"POST {CHAT} HTTP/{version}", "Host: t", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize(
    "head",
    [
        GET + b"x: " + b"a" * 70_000 + b"\r\n\r\n",
        GET + b"x: " + b"a" * 70_000,
        GET + b"x: y\r\n" * 20_000,
        b"GET /" + b"a" * 70_000,
    ],
    ids=["whole", "one header", "many headers", "path"],
)
def test_a_large_head_is_refused(server: RunningServer, head: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(head)
        assert refusal(connection) == (431, "headers_too_large")


def test_a_head_of_usual_size_is_taken(server: RunningServer) -> None:
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(GET + b"cookie: " + b"a" * 30_000 + b"\r\n\r\n")
            assert answer(connection).status == 200


def trickle(connection: socket.socket, data: bytes) -> None:
    """Byte by byte, until there is an answer."""
    for byte in data:
        connection.sendall(bytes([byte]))
        if select.select([connection], [], [], 0.05)[0]:
            return


@pytest.mark.parametrize("before", [b"", GET + b"\r\n", b"\r\n\r\n"], ids=["at first", "after another request", "after empty lines"])
@pytest.mark.usefixtures("hurried")
def test_a_slow_head_is_given_up(server: RunningServer, before: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(before)
        if before.startswith(GET):
            answer(connection)
        started = time.monotonic()
        trickle(connection, GET * 10)
        assert refusal(connection) == (408, "request_timeout")
        assert 0.4 <= time.monotonic() - started < 2


def test_a_connection_without_a_request_is_closed_after_the_keep_alive_timeout() -> None:
    with running_server(keep_alive_timeout=1) as server, connected(server) as silent, connected(server) as blank:
        blank.sendall(b"\r\n")
        assert silent.recv(1) == b""
        assert blank.recv(1) == b""


def test_a_pipelined_head_can_wait_for_the_answer_before_it(server: RunningServer, hurried: None) -> None:
    with connected(server) as connection:
        connection.sendall(post(json.dumps(chat_body("hold")).encode()) + GET)
        time.sleep(0.6)
        server.service.release()
        assert answer(connection).status == 200
        connection.sendall(b"\r\n")
        assert answer(connection).status == 200


def test_what_is_not_http_is_refused(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert refusal(connection) == (400, "invalid_http")


def test_an_answer_is_not_broken_by_what_follows_it(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(post(json.dumps(chat_body("hold", stream=True)).encode()))
        head = connection.recv(1000)
        connection.sendall(b"nonsense\r\n\r\n")
        received = head + b"".join(iter(lambda: connection.recv(1000), b""))
        assert received.count(b"HTTP/1.1") == 1


def keeps_taking(connection: socket.socket) -> bool:
    try:
        for _ in range(100):
            connection.sendall(b" " * 1000)
            time.sleep(0.02)
    except ConnectionError:
        return False
    return True


@pytest.mark.usefixtures("hurried")
def test_a_refused_body_is_not_waited_for(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(post(b"")[:-4].replace(b"Content-Length: 0", b"Content-Length: 999999999") + b"\r\n\r\n")
        assert refusal(connection) == (413, "request_too_large")
        assert not keeps_taking(connection)


def test_a_refused_body_that_was_read_leaves_the_connection_open(server: RunningServer) -> None:
    with connected(server) as connection:
        for status in (400, 200):
            connection.sendall(post(json.dumps(chat_body(n=0) if status == 400 else chat_body()).encode()))
            assert answer(connection).status == status


@pytest.mark.parametrize("stream", [True, False])
def test_http_1_0_gets_answers_without_chunks(server: RunningServer, stream: bool) -> None:
    with connected(server) as connection:
        connection.sendall(post(json.dumps(chat_body(stream=stream)).encode(), "1.0"))
        received = b"".join(iter(lambda: connection.recv(1000), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and b"transfer-encoding" not in head
    assert b"connection: close" in head
    if stream:
        assert body.startswith(b"data: {") and body.endswith(b"}\n\ndata: [DONE]\n\n")
    else:
        assert json.loads(body)["choices"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_ended_its_side_gets_its_answer(server: RunningServer, stream: bool) -> None:
    with connected(server) as connection:
        connection.sendall(post(json.dumps(chat_body("hold at first", stream=stream)).encode()))
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.5)
        server.service.release()
        response = answer(connection)  # reads over interim responses
        assert (response.status, response.headers["connection"]) == (200, "close")
        assert response.body.endswith(b"data: [DONE]\n\n" if stream else b"}")  # type: ignore[attr-defined]
        assert connection.recv(1) == b""


def test_pipelined_requests_are_answered_in_order() -> None:
    with running_server() as server, connected(server) as connection:
        connection.sendall(b"".join(post(json.dumps(chat_body(text)).encode()) for text in "abc"))
        received = b""
        while received.count(b"HTTP/1.1 200") < 3:
            received += connection.recv(65536)
        assert [server.service.begun.get(timeout=5) for _ in range(3)] == ["a", "b", "c"]
        assert [server.service.ended.get(timeout=5) for _ in range(3)] == ["finished"] * 3


def test_an_idle_connection_is_kept_for_the_keep_alive_timeout() -> None:
    with running_server(keep_alive_timeout=1) as server, socket.create_connection(server.address) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\n")
        connection.settimeout(5)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        answered = time.monotonic()
        assert connection.recv(1) == b""
        assert 0.8 < time.monotonic() - answered < 3
