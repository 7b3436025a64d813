"""HTTP edge cases: large and slow heads, refused bodies, half-closed connections, HTTP/1.0, pipelining."""

import json
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """Reads one response to its end, so that the connection can be used again."""
    response = HTTPResponse(connection)
    response.begin()
    response.body = response.read()  # type: ignore[attr-defined]
    return response


def refusal(connection: socket.socket) -> tuple[int, str]:
    """Returns the status and code of an error after which the connection is closed."""
    response = answer(connection)
    error = json.loads(response.body)["error"]  # type: ignore[attr-defined]
    assert set(error) == {"message", "type", "param", "code"} and error["message"]
    assert response.headers["connection"] == "close"
    assert response.headers["x-request-id"]
    assert connection.recv(1) == b""
    return response.status, error["code"]


def is_closed(connection: socket.socket) -> bool:
    with suppress(ConnectionError):
        while connection.recv(100_000):
            pass
    return True  # else the read would have timed out


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


def test_a_head_of_usual_size_is_accepted(server: RunningServer) -> None:
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(GET + b"cookie: " + b"a" * 30_000 + b"\r\n\r\n")
            assert answer(connection).status == 200


def trickle(connection: socket.socket, data: bytes) -> None:
    """Sends byte by byte until there is a response."""
    for byte in data:
        connection.sendall(bytes([byte]))
        if select.select([connection], [], [], 0.05)[0]:
            return


@pytest.mark.parametrize("before", [b"", GET + b"\r\n", b"\r\n\r\n"], ids=["at first", "after another request", "after empty lines"])
@pytest.mark.usefixtures("hurried")
def test_a_slow_head_times_out(server: RunningServer, before: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(before)
        if before.startswith(GET):
            answer(connection)
        started = time.monotonic()
        trickle(connection, GET * 10)
        assert refusal(connection) == (408, "request_timeout")
        assert time.monotonic() - started >= 0.4


def test_a_pipelined_head_may_wait_for_the_response_before_it(server: RunningServer, hurried: None) -> None:
    with connected(server) as connection:
        connection.sendall(post(json.dumps(chat_body("hold")).encode()) + GET)
        time.sleep(0.6)
        server.service.release()
        assert answer(connection).status == 200
        connection.sendall(b"\r\n")
        assert answer(connection).status == 200


def test_invalid_http_is_refused(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert refusal(connection) == (400, "invalid_http")


@pytest.mark.parametrize("together", [True, False], ids=["one packet", "two packets"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_invalid_http_after_a_request_does_not_cost_its_response(server: RunningServer, stream: bool, together: bool) -> None:
    valid, invalid = post(json.dumps(chat_body("hold", stream=stream)).encode()), b"nonsense\r\n\r\n"
    with connected(server) as connection:
        connection.sendall(valid + invalid if together else valid)
        time.sleep(0.5)
        if not together:
            connection.sendall(invalid)
            time.sleep(0.5)
        server.service.release()
        response = answer(connection)
        assert response.status == 200
        assert response.body.endswith(b"data: [DONE]\n\n" if stream else b"}")  # type: ignore[attr-defined]
        assert connection.recv(1) == b""


def chunked(*, valid: bool) -> bytes:
    body = json.dumps(chat_body()).encode()
    head = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    return head + b"%x\r\n%b\r\n%b" % (len(body), body, b"0\r\n\r\n" if valid else b"no size\r\n")


def test_a_body_in_invalid_chunks_is_refused(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(chunked(valid=False))
        assert refusal(connection) == (400, "invalid_http")


@pytest.mark.parametrize("requests", [1, 2])
def test_a_pipelined_body_in_invalid_chunks_does_not_cost_earlier_responses(server: RunningServer, requests: int) -> None:
    with connected(server) as connection:
        connection.sendall(chunked(valid=True) * requests + chunked(valid=False))
        received = b"".join(iter(lambda: connection.recv(65536), b""))
        assert (received.count(b"HTTP/1.1 "), received.count(b"HTTP/1.1 200")) == (requests, requests)


def keeps_taking(connection: socket.socket) -> bool:
    try:
        for _ in range(100):
            connection.sendall(b" " * 1000)
            time.sleep(0.02)
    except ConnectionError:
        return False
    return True


@pytest.mark.usefixtures("hurried")
def test_the_rest_of_a_refused_body_is_not_read(server: RunningServer) -> None:
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
def test_http_1_0_gets_responses_without_chunks(server: RunningServer, stream: bool) -> None:
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
def test_a_client_that_closed_its_sending_side_gets_its_response(server: RunningServer, stream: bool) -> None:
    with connected(server) as connection:
        connection.sendall(post(json.dumps(chat_body("hold at first", stream=stream)).encode()))
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.5)
        server.service.release()
        response = answer(connection)  # skips interim responses
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


def test_connections_without_a_request_are_closed_after_the_keep_alive_timeout() -> None:
    with running_server(keep_alive_timeout=1) as server, connected(server) as silent, connected(server) as blank, connected(server) as used:
        blank.sendall(b"\r\n")
        used.sendall(GET + b"\r\n")
        assert answer(used).status == 200
        answered = time.monotonic()
        assert [connection.recv(1) for connection in (silent, blank, used)] == [b""] * 3
        assert time.monotonic() - answered > 0.8


H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest.mark.parametrize("offer", [H2C, ("Connection: keep-alive, Upgrade", "Upgrade: websocket")], ids=["h2c", "websocket"])
@pytest.mark.parametrize("size", [1, 7, 10_000], ids=["byte by byte", "in pieces", "whole"])
def test_an_offer_to_upgrade_is_declined_and_the_body_is_kept(server: RunningServer, offer: tuple[str, ...], size: int) -> None:
    body = json.dumps(chat_body()).encode()
    chunked = b"".join([b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:9], body[9:])]) + b"0\r\n\r\n"
    in_chunks = post(b"", "1.1", *offer, "Transfer-Encoding: chunked").replace(b"Content-Length: 0\r\n", b"") + chunked
    with connected(server) as connection:
        for request in (post(body, "1.1", *offer), in_chunks, post(body)):
            for at in range(0, len(request), size):
                connection.sendall(request[at : at + size])
            assert answer(connection).status == 200


def test_a_flood_of_offers_to_upgrade_ends_the_connection(server: RunningServer) -> None:
    flood = 4000 * ("\r\n".join([GET.decode().strip(), *H2C, "", ""]).encode())
    with connected(server) as connection:
        with suppress(ConnectionError):  # the server closes while the client sends
            connection.sendall(flood)
        assert is_closed(connection)
    with connected(server) as connection:
        connection.sendall(GET + b"\r\n")
        assert answer(connection).status == 200


def test_an_offer_to_upgrade_without_a_body_is_declined(server: RunningServer) -> None:
    with connected(server) as connection:
        for request in ("\r\n".join([GET.decode().strip(), *H2C, "", ""]).encode(), GET + b"\r\n"):
            connection.sendall(request)
            assert answer(connection).status == 200


def test_requests_after_an_offer_to_upgrade_may_come_in_the_same_packet(server: RunningServer) -> None:
    body = json.dumps(chat_body()).encode()
    with connected(server) as connection:
        connection.sendall(2 * post(body, "1.1", *H2C) + post(body, "1.1", "Connection: close"))
        received = b"".join(iter(lambda: connection.recv(10_000), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3
