"""Failures of the engine, and of the way to it, as the client sees them."""

import json
import socket
import threading
from pathlib import Path
from typing import Any

import httpx2
import pytest
from upstream.front import NAME, QUESTION, Front, front
from upstream.scripted_upstream import Exchange, ScriptedUpstream, counted, piece, said, scripted_upstream

TOO_LONG = "This model's maximum context length is 4096 tokens. However, your prompt contains 5000."
ERRORS: list[tuple[int, Any, int, str | None, str | None, str]] = [
    (400, {"error": {"message": "bad n", "type": "BadRequestError", "param": "n", "code": 400}}, 400, "n", "invalid_value", "bad n"),
    (400, {"object": "error", "message": "bad n", "param": None, "code": 400}, 400, None, "invalid_value", "bad n"),
    (400, {"error": "bad n", "error_type": "validation"}, 400, None, "invalid_value", "bad n"),
    (422, {"detail": [{"loc": ["body", "n"], "msg": "too large"}]}, 400, None, "invalid_value", "'body.n': too large"),
    (400, {"detail": "bad n"}, 400, None, "invalid_value", "bad n"),
    (400, {"error": {"message": TOO_LONG, "param": "input_tokens", "code": 400}}, 400, "messages", "context_length_exceeded", TOO_LONG),
    (413, {"detail": "too large"}, 413, None, "request_too_large", "too large"),
    (429, {"error": "overloaded"}, 429, None, "rate_limit_exceeded", "too many requests"),
    (503, "loading", 503, None, "service_unavailable", "not ready"),
    (500, {"error": {"message": "secret path /root"}}, 500, None, "engine_error", "The engine failed on this request."),
    (401, {"error": "Unauthorized"}, 500, None, "engine_error", "The engine refused this server's request."),
    (404, {"error": {"message": "no such model"}}, 500, None, "engine_error", "The engine refused this server's request."),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("sent", "content", "status", "param", "code", "message"), ERRORS)
def test_an_error_of_the_engine_becomes_one_of_this_api(
    engine: ScriptedUpstream,
    server: Front,
    stream: bool,
    sent: int,
    content: Any,
    status: int,
    param: str | None,
    code: str | None,
    message: str,
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    engine.answers(lambda exchange: exchange.raw(text.encode(), sent))
    found, error = server.error(stream=stream)
    assert (found, error["param"], error["code"]) == (status, param, code)
    assert message in error["message"]


EVENTS: list[tuple[dict[str, Any], int, str]] = [
    ({"error": {"message": "secret path", "type": "InternalServerError", "code": 500}}, 500, "engine_error"),
    ({"object": "error", "message": "secret path", "code": 500}, 500, "engine_error"),
    ({"error": "secret path", "error_type": "generation"}, 500, "engine_error"),
    ({"error": {"message": "bad n", "code": 400}}, 400, "invalid_value"),
    ({"error": {"message": "bad n", "http_status_code": 422}}, 400, "invalid_value"),
    ({"error": {"object": "error", "message": "full", "type": "SERVICE_UNAVAILABLE", "code": 503}}, 503, "service_unavailable"),
]


@pytest.mark.parametrize(("event", "status", "code"), EVENTS)
def test_an_error_in_the_first_event_has_its_status(
    engine: ScriptedUpstream, server: Front, event: dict[str, Any], status: int, code: str
) -> None:
    engine.answers(lambda exchange: exchange.events(event))
    found, error = server.error(stream=True)
    assert (found, error["code"], "secret" in error["message"]) == (status, code, False)


@pytest.mark.parametrize(("event", "code"), [(event, code) for event, _, code in EVENTS])
def test_an_error_in_a_later_event_is_an_error_event_and_no_done(
    engine: ScriptedUpstream, server: Front, event: dict[str, Any], code: str
) -> None:
    engine.answers(lambda exchange: exchange.events(piece({"content": "a"}), event))
    text = server.post(stream=True).text
    last = json.loads(text.strip().splitlines()[-1].removeprefix("data: "))
    assert (last["error"]["code"], "secret" in text, "[DONE]" in text) == (code, False, False)


def _unfinished(exchange: Exchange) -> None:
    exchange.events(piece({"content": "a"}), last=b"")


def _done_too_early(exchange: Exchange) -> None:
    exchange.events(piece({"content": "a"}), counted())


def _dropped(exchange: Exchange) -> None:
    exchange.begin_events()
    exchange.event(piece({"content": "a"}))
    exchange.drop()


def _no_json(exchange: Exchange) -> None:
    exchange.begin_events()
    exchange.event(piece({"content": "a"}))
    exchange.end_events(b"data: oops\n\n")


def _aborted(exchange: Exchange) -> None:
    exchange.events(piece({"content": "a"}), piece({}, "abort"), counted())


@pytest.mark.parametrize("reply", [_unfinished, _done_too_early, _dropped, _no_json, _aborted])
def test_a_stream_that_the_engine_does_not_finish_is_never_taken_for_a_whole_one(
    engine: ScriptedUpstream, server: Front, reply: Any
) -> None:
    engine.answers(reply)
    text = server.post(stream=True).text
    assert '"content":"a"' in text and "engine_error" in text and "[DONE]" not in text
    assert len(engine.requests) == 1, "a request whose answer has begun is not sent again"


GIVEN_UP = b'{"choices": [{"message": {"content": "a"}, "finish_reason": "abort"}]}'


@pytest.mark.parametrize("content", [b"oops", b"{}", b'{"choices": []}', b"[1]", GIVEN_UP])
def test_a_whole_answer_that_cannot_be_read_fails(engine: ScriptedUpstream, server: Front, content: bytes) -> None:
    engine.answers(lambda exchange: exchange.raw(content))
    assert server.error()[1]["code"] == "engine_error"


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_without_a_byte_of_an_answer_is_sent_once_more(engine: ScriptedUpstream, server: Front, stream: bool) -> None:
    def answer(exchange: Exchange) -> None:
        exchange.events(piece({"content": "a"}, "stop"), counted()) if stream else exchange.json(said())

    engine.answers(Exchange.drop, answer)
    assert server.post(stream=stream).status_code == 200
    assert len(engine.requests) == 2
    engine.answers(Exchange.drop)
    assert server.error(stream=stream)[1]["code"] == "service_unavailable"
    assert len(engine.requests) == 2


def test_an_engine_that_is_silent_ends_its_request_alone(engine: ScriptedUpstream) -> None:
    released = threading.Event()

    def silent(exchange: Exchange) -> None:
        released.wait(10)

    with front(engine.url, read_timeout=0.5) as server:
        engine.answers(silent, lambda exchange: exchange.json(said()))
        assert server.error()[1]["code"] == "service_unavailable"
        assert server.post().status_code == 200
        released.set()


def test_an_engine_that_is_gone_is_answered_with_503(unused_port: int) -> None:
    with front(f"http://127.0.0.1:{unused_port}", ready=False) as server:
        response = server.post()
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert httpx2.get(server.url + "/livez").status_code == 200
        assert httpx2.get(server.url + "/readyz").json()["detail"] == "the engine cannot be reached"


def test_a_key_that_cannot_be_read_is_logged_and_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = tmp_path / "key"
    key.write_text("first")
    with scripted_upstream() as engine, front(engine.url, key_file=key) as server:
        key.unlink()
        status, error = server.error()
        assert (status, str(tmp_path) in error["message"]) == (503, False)
        assert str(tmp_path) not in server.wait_for("/readyz", 503).text
    assert "UPSTREAM_API_KEY_FILE cannot be read" in capsys.readouterr().out


def test_a_refused_request_is_no_failed_generation() -> None:
    with scripted_upstream() as engine, front(engine.url) as server:
        engine.answers(lambda exchange: exchange.json({"detail": "bad n"}, 400), lambda exchange: exchange.json({}, 500))
        server.error()
        assert 'finished_reason="error"' not in server.metrics.render().decode()
        server.error()
        assert 'llm_request_success_total{finished_reason="error"} 1.0' in server.metrics.render().decode()


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("stream", [False, True])
def test_the_generation_ends_when_the_client_leaves(stream: bool) -> None:
    with scripted_upstream() as engine, front(engine.url) as server:

        def endless(exchange: Exchange) -> None:
            if stream:
                exchange.begin_events()
                exchange.event(piece({"content": "a"}))
            exchange.wait_left()
            engine.left.set()

        engine.answers(endless)
        with httpx2.Client(timeout=0.5) as client, pytest.raises(httpx2.ReadTimeout):
            client.post(server.url + "/v1/chat/completions", json={"model": NAME, "messages": QUESTION, "stream": stream})
        assert engine.left.wait(5)


def test_the_deadline_ends_the_generation() -> None:
    with scripted_upstream() as engine, front(engine.url, request_timeout=0.5) as server:

        def endless(exchange: Exchange) -> None:
            exchange.wait_left()
            engine.left.set()

        engine.answers(endless)
        status, error = server.error()
        assert (status, error["code"]) == (504, "timeout")
        assert engine.left.wait(5)
