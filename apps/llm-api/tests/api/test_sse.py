"""Event streams: their start, silence, failure and end."""

import json
import time
from collections.abc import Iterator

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import MODEL, Script, ScriptedService
from openai import APIError, InternalServerError

from llm_api.protocol.errors import EngineFailed, InvalidRequest

FIRST_TOKEN_TIMEOUT, SSE_KEEPALIVE = 0.3, 0.1  # seconds
KEEP_ALIVE = ": keep-alive"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    service = ScriptedService()
    service.scripts |= {
        "refused": Script(fail_after=0, error=InvalidRequest("Too long.", param="messages", code="context_length_exceeded")),
        "crash": Script(fail_after=0),
        "late failure": Script(fail_after=2, error=EngineFailed("The engine stopped.")),
        "late crash": Script(fail_after=2),
        "slow": Script(hold_after=0),
        "pause": Script(hold_after=2),
    }
    with running_server(service, first_token_timeout=FIRST_TOKEN_TIMEOUT, sse_keepalive=SSE_KEEPALIVE) as running:
        yield running


def collect(server: RunningServer, text: str, release_after: int | None = None) -> tuple[httpx2.Response, list[tuple[float, str]]]:
    """Returns the lines of a stream, each with its seconds since the start. Releases the script after so many comments."""
    lines, started = [], time.monotonic()
    with server.client() as http, http.stream("POST", CHAT, json=chat_body(text, stream=True)) as response:
        for line in filter(None, response.iter_lines()):
            lines.append((time.monotonic() - started, line))
            if [line for _, line in lines].count(KEEP_ALIVE) == release_after:
                server.service.release()
    return response, lines


@pytest.mark.parametrize(("text", "status", "code"), [("refused", 400, "context_length_exceeded"), ("crash", 500, "internal_error")])
def test_a_failure_before_the_first_token_has_a_real_status(server: RunningServer, text: str, status: int, code: str) -> None:
    with server.client() as http:
        response = http.post(CHAT, json=chat_body(text, stream=True))
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert "secret" not in response.text


@pytest.mark.parametrize(("text", "code"), [("late failure", "engine_error"), ("late crash", "internal_error")])
def test_a_later_failure_is_an_error_event_without_done(server: RunningServer, text: str, code: str) -> None:
    response, lines = collect(server, text)
    assert response.status_code == 200
    assert f'"code":"{code}"' in lines[-1][1]
    assert lines[-1][1].startswith('data: {"error":{"message":')
    assert not any("[DONE]" in line or "secret" in line for _, line in lines)


def test_the_official_client_raises_on_a_later_failure(server: RunningServer) -> None:
    chunks = server.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "late failure"}], stream=True)
    with pytest.raises(APIError, match="The engine stopped"):
        list(chunks)


def test_the_official_client_raises_on_an_early_failure(server: RunningServer) -> None:
    with pytest.raises(InternalServerError):
        server.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "crash"}], stream=True)


def test_the_status_waits_for_the_first_token_up_to_the_timeout(server: RunningServer) -> None:
    started = time.monotonic()
    with server.client() as http, http.stream("POST", CHAT, json=chat_body("slow", stream=True)) as response:
        assert response.status_code == 200
        assert time.monotonic() - started >= FIRST_TOKEN_TIMEOUT
        server.service.release()
        assert list(response.iter_lines())[-2:] == ["data: [DONE]", ""]


def test_silence_is_filled_with_comments(server: RunningServer) -> None:
    _, lines = collect(server, "pause", release_after=3)
    comments = [seconds for seconds, line in lines if line == KEEP_ALIVE]
    assert comments[2] >= 3 * SSE_KEEPALIVE
    assert lines[-1][1] == "data: [DONE]"


def test_the_official_client_ignores_comments(server: RunningServer) -> None:
    chunks = server.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "pause"}], stream=True)
    first = next(iter(chunks))
    time.sleep(3 * SSE_KEEPALIVE)
    server.service.release()
    assert len([first, *chunks]) == 6


def test_a_stream_without_pauses_has_no_comments(server: RunningServer) -> None:
    assert not any(line.startswith(":") for _, line in collect(server, "hi")[1])


def test_a_stream_ends_at_the_request_timeout() -> None:
    service = ScriptedService()
    service.scripts["pause"] = Script(hold_after=2)
    with running_server(service, request_timeout=0.4) as server:
        _, lines = collect(server, "pause")
    assert lines[-1][0] >= 0.4
    assert '"code":"timeout"' in lines[-1][1]
    assert service.ended.get(timeout=5) == "cancelled"


def test_line_ends_of_unicode_are_escaped_in_events(server: RunningServer) -> None:
    words = ("one\u2028two", "three\x85four", "five\u2029", "\u2027\x84\u0648")
    server.service.scripts["line ends"] = Script(words=words)
    with server.client() as http:
        events = http.post(CHAT, json=chat_body("line ends", stream=True)).text.strip().splitlines()
    contents = [json.loads(event.removeprefix("data: "))["choices"][0]["delta"] for event in filter(None, events[:-1])]
    assert "".join(delta.get("content", "") for delta in contents) == "".join(words)
