import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import MODEL, Script, ScriptedService
from openai import RateLimitError


@pytest.fixture
def full_server() -> Iterator[RunningServer]:
    """Has places for one running sequence and two waiting requests. Streams hold all of them."""
    service = ScriptedService(max_num_seqs=1)
    service.scripts["hold"] = Script(hold_after=0)
    with running_server(service, max_queued_requests=2, first_token_timeout=0) as server, server.client() as http, ExitStack() as streams:
        for _ in range(3):
            streams.enter_context(http.stream("POST", CHAT, json=chat_body("hold", stream=True)))
            service.begun.get(timeout=5)
        yield server
        service.release()


def test_a_full_queue_answers_429_with_retry_after(full_server: RunningServer) -> None:
    with full_server.client() as http:
        response = http.post(CHAT, json=chat_body())
    assert response.status_code == 429
    assert int(response.headers["retry-after"]) >= 1
    assert (response.json()["error"]["type"], response.json()["error"]["code"]) == ("requests", "rate_limit_exceeded")


def test_the_official_client_sees_a_rate_limit(full_server: RunningServer) -> None:
    with pytest.raises(RateLimitError):
        full_server.openai().completions.create(model=MODEL, prompt="a")


def test_a_full_queue_refuses_before_reading_the_body(full_server: RunningServer) -> None:
    with socket.create_connection(full_server.address) as connection:  # the body never arrives
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n".encode())
        connection.settimeout(5)
        assert connection.recv(100).startswith(b"HTTP/1.1 429")
    assert full_server.service.begun.empty()


def test_other_paths_are_still_answered(full_server: RunningServer) -> None:
    with full_server.client() as http:
        assert http.get("/v1/models").status_code == 200
        assert http.get("/readyz").status_code == 200
        assert 'llm_admission_rejections_total{reason="queue_full"}' not in http.get("/metrics").text
        http.post(CHAT, json=chat_body())
        assert 'llm_admission_rejections_total{reason="queue_full"} 1.0' in http.get("/metrics").text


def test_places_are_free_again_when_requests_end(full_server: RunningServer) -> None:
    full_server.service.release()
    for _ in range(3):
        assert full_server.service.ended.get(timeout=5) == "finished"
    with full_server.client() as http:
        for _ in range(10):
            assert http.post(CHAT, json=chat_body()).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_every_sequence_takes_one_place(stream: bool) -> None:
    service = ScriptedService(max_num_seqs=2)
    service.scripts["hold"] = Script(hold_after=0)
    with running_server(service, max_queued_requests=2) as server, server.client() as http:
        first = threading.Thread(target=httpx2.post, args=(server.url + CHAT,), kwargs={"json": chat_body("hold", n=3)})
        first.start()
        service.begun.get(timeout=5)
        assert http.post(CHAT, json=chat_body(n=2, stream=stream)).status_code == 429
        assert http.post(CHAT, json=chat_body(n=1, stream=stream)).status_code == 200
        service.release()
        first.join()
        assert http.post(CHAT, json=chat_body(n=4, stream=stream)).status_code == 200


def test_more_sequences_than_places_are_an_invalid_request() -> None:
    with running_server(ScriptedService(max_num_seqs=2), max_queued_requests=2) as server, server.client() as http:
        response = http.post("/v1/completions", json={"model": MODEL, "prompt": ["a", "b", "c"], "n": 2})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "n"
    assert "at most 4" in response.json()["error"]["message"]


def test_invalid_requests_free_their_place() -> None:
    with running_server(ScriptedService(max_num_seqs=1), max_queued_requests=0) as server, server.client() as http:
        for body in ({}, chat_body(n=5), chat_body(model="no"), chat_body(temperature=9)):
            assert http.post(CHAT, json=body).status_code in (400, 404)
        assert http.post(CHAT, json=chat_body()).status_code == 200
