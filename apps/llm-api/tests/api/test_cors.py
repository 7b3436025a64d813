"""Pages of other origins, as browsers ask for them."""

from collections.abc import Iterator

import pytest
from api.running_server import CHAT, RunningServer, chat_body, key_entry, running_server

PAGE, KEY = "https://app.example", {"authorization": "Bearer a-key"}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type,x-stainless-os"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(cors_origins=f"{PAGE}, http://localhost:3000", api_keys=key_entry("alice", "a-key")) as running:
        yield running


def test_a_preflight_needs_no_key_and_allows_the_headers_of_clients(server: RunningServer) -> None:
    with server.client(headers={"origin": PAGE}) as http:
        allowed = http.options(CHAT, headers=PREFLIGHT)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == PAGE
        assert set(PREFLIGHT["access-control-request-headers"].split(",")) <= set(
            allowed.headers["access-control-allow-headers"].replace(" ", "").lower().split(",")
        )
        assert "POST" in allowed.headers["access-control-allow-methods"]


def test_another_origin_is_not_allowed(server: RunningServer) -> None:
    with server.client(headers={"origin": "https://evil.example"}) as http:
        assert "access-control-allow-origin" not in http.options(CHAT, headers=PREFLIGHT).headers
        assert "access-control-allow-origin" not in http.post(CHAT, json=chat_body(), headers=KEY).headers


@pytest.mark.parametrize("stream", [False, True])
def test_answers_and_their_request_id_are_readable(server: RunningServer, stream: bool) -> None:
    with server.client(headers={"origin": PAGE} | KEY) as http:
        answer = http.post(CHAT, json=chat_body(stream=stream))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "x-request-id" in answer.headers["access-control-expose-headers"]


def test_errors_are_readable_too(server: RunningServer) -> None:
    with server.client(headers={"origin": PAGE}) as http:
        for answer, status in ((http.post(CHAT, json=chat_body()), 401), (http.post(CHAT, json={}, headers=KEY), 400)):
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, PAGE)


def test_without_the_setting_no_page_may_call() -> None:
    with running_server() as server, server.client(headers={"origin": PAGE}) as http:
        assert http.options(CHAT, headers=PREFLIGHT).status_code == 405
        assert "access-control-allow-origin" not in http.post(CHAT, json=chat_body()).headers
