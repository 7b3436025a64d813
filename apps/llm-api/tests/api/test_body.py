import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import ScriptedService


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(max_body_size=1000, body_timeout=0.5) as running:
        yield running


def head(server: RunningServer, *headers: str) -> bytes:
    host, port = server.address
    lines = [f"POST {CHAT} HTTP/1.1", f"Host: {host}:{port}", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def answer(connection: socket.socket) -> bytes:
    connection.settimeout(5)
    data = b""
    while b'"code"' not in data and (received := connection.recv(65536)):
        data += received
    return data


def test_a_large_body_is_refused_before_it_is_read(server: RunningServer) -> None:
    with socket.create_connection(server.address) as connection:
        connection.sendall(head(server, "Content-Length: 999999999"))
        received = answer(connection)
    assert received.startswith(b"HTTP/1.1 413")
    assert b"request_too_large" in received


def test_a_large_chunked_body_is_refused(server: RunningServer) -> None:
    pieces = (b" " * 400 for _ in range(5))
    with server.client() as http:
        response = http.post(CHAT, content=pieces, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert "1000 bytes" in response.json()["error"]["message"]


def test_a_chunked_body_within_the_limit_is_accepted(server: RunningServer) -> None:
    body = json.dumps(chat_body()).encode()
    with server.client() as http:
        response = http.post(CHAT, content=iter([body[:10], body[10:]]), headers={"content-type": "application/json"})
    assert response.status_code == 200


def test_a_slow_body_times_out(server: RunningServer) -> None:
    with socket.create_connection(server.address) as connection:
        connection.sendall(head(server, "Content-Length: 100") + b'{"model"')
        received = answer(connection)
        assert received.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in received
        assert connection.recv(1) == b""


def test_a_client_that_disconnects_while_sending_its_body_does_not_affect_others(server: RunningServer) -> None:
    with socket.create_connection(server.address) as connection:
        connection.sendall(head(server, "Content-Length: 100") + b'{"model"')
    with server.client() as http:
        assert http.post(CHAT, json=chat_body()).status_code == 200


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-type": ""}, {"content-type": "application/json", "content-encoding": "gzip"}]
)
def test_other_media_types_and_encodings_are_refused(server: RunningServer, headers: dict[str, str]) -> None:
    with server.client() as http:
        response = http.post(CHAT, content=json.dumps(chat_body()), headers=headers)
    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_media_type"


def test_a_charset_may_follow_the_media_type(server: RunningServer) -> None:
    with server.client() as http:
        response = http.post(CHAT, content=json.dumps(chat_body()), headers={"content-type": "Application/JSON; charset=utf-8"})
    assert response.status_code == 200


def test_refused_bodies_leave_the_connection_usable(server: RunningServer) -> None:
    with server.client() as http:
        for _ in range(3):
            assert http.post(CHAT, content=b" " * 5000, headers={"content-type": "application/json"}).status_code == 413
            assert http.post(CHAT, json=chat_body()).status_code == 200


def test_a_refused_large_body_still_gets_its_response(server: RunningServer) -> None:
    with httpx2.Client(base_url=server.url, timeout=10) as http:
        response = http.post(CHAT, content=b" " * 20_000_000, headers={"content-type": "application/json"})
    assert response.status_code == 413


def unread(server: RunningServer, streams: ExitStack) -> socket.socket:
    connection = streams.enter_context(socket.create_connection(server.address))
    connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{{".encode())
    connection.settimeout(5)
    return connection


def test_slow_bodies_do_not_block_other_requests() -> None:
    service = ScriptedService(max_num_seqs=1)
    with running_server(service, max_queued_requests=1) as server, server.client() as http, ExitStack() as streams:
        for _ in range(10):
            unread(server, streams)
        for _ in range(3):
            assert http.post(CHAT, json=chat_body()).status_code == 200


def test_too_many_unfinished_bodies_refuse_the_oldest_ones() -> None:
    service = ScriptedService(max_num_seqs=1)
    with running_server(service, max_queued_requests=0, max_body_size=1000) as server, server.client() as http, ExitStack() as streams:
        connections = [unread(server, streams) for _ in range(20)]
        received = connections[0].recv(1000)
        assert received.startswith(b"HTTP/1.1 429") and b"retry-after" in received
        assert http.post(CHAT, json=chat_body()).status_code == 200
        connections[-1].sendall(json.dumps(chat_body()).encode().ljust(900)[1:])
        assert connections[-1].recv(1000).startswith(b"HTTP/1.1 200")
        assert 'llm_admission_rejections_total{reason="unread_bodies"}' in http.get("/metrics").text
