"""A disconnecting client and REQUEST_TIMEOUT end a generation early."""

import json
import socket
import time
from collections.abc import Iterator

import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import MODEL, Script, ScriptedService
from openai import InternalServerError


@pytest.fixture
def server() -> Iterator[RunningServer]:
    service = ScriptedService(max_num_seqs=1)
    service.scripts |= {"hold": Script(hold_after=2), "hold at first": Script(hold_after=0)}
    with running_server(service, max_queued_requests=0) as running:
        yield running


def send(server: RunningServer, connection: socket.socket, text: str, stream: bool) -> None:
    body = json.dumps(chat_body(text, stream=stream)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    assert server.service.begun.get(timeout=5) == text


@pytest.mark.parametrize(("text", "stream"), [("hold", False), ("hold", True), ("hold at first", True)])
def test_a_client_that_disconnects_ends_its_generation(server: RunningServer, text: str, stream: bool) -> None:
    with socket.create_connection(server.address) as connection:
        send(server, connection, text, stream)
    assert server.service.ended.get(timeout=5) == "cancelled"
    with server.client() as http:  # the only place is free again
        assert http.post(CHAT, json=chat_body()).status_code == 200


def test_a_client_that_disconnects_is_counted_as_499(server: RunningServer) -> None:
    with socket.create_connection(server.address) as connection:
        send(server, connection, "hold", stream=False)
    assert server.service.ended.get(timeout=5) == "cancelled"
    with server.client() as http:
        metrics = http.get("/metrics").text
    assert 'http_requests_total{handler="/v1/chat/completions",method="POST",status="499"} 1.0' in metrics
    assert 'status="500"' not in metrics


def test_a_request_ends_at_its_timeout() -> None:
    service = ScriptedService()
    service.scripts["hold"] = Script(hold_after=1)
    with running_server(service, request_timeout=0.4) as server:
        with pytest.raises(InternalServerError) as raised:
            server.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hold"}])
        assert raised.value.status_code == 504
        assert raised.value.code == "timeout"
        assert "0.4 seconds" in raised.value.message
        assert service.ended.get(timeout=5) == "cancelled"


def test_a_stream_that_times_out_before_its_first_token_has_status_504() -> None:
    service = ScriptedService()
    service.scripts["hold"] = Script(hold_after=0)
    with running_server(service, request_timeout=0.4) as server, server.client() as http:
        assert http.post(CHAT, json=chat_body("hold", stream=True)).status_code == 504


def test_a_client_that_does_not_read_loses_its_place_at_the_timeout() -> None:
    service = ScriptedService(max_num_seqs=1)
    service.scripts["flood"] = Script(words=("x" * 1_000_000,) * 50)
    with (
        running_server(service, max_queued_requests=0, request_timeout=0.5) as server,
        socket.create_connection(server.address) as connection,
    ):
        send(server, connection, "flood", stream=True)
        assert service.ended.get(timeout=5) == "cancelled"
        deadline = time.monotonic() + 20
        with server.client() as http:
            while (response := http.post(CHAT, json=chat_body())).status_code == 429:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            assert response.status_code == 200
