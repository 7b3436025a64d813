"""The negative control: a service that violates its contract in one place fails the checks. The unchanged service passes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from api.scripted_service import MODEL, ScriptedService
from contract.events import check_stream
from contract.run import run_schemathesis
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_api.app import create_app
from llm_api.server.lifecycle import Lifecycle
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

CHAT = "/v1/chat/completions"
EXAMPLES = ("--phases", "examples")
CHUNK = (
    b'data: {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",'
    b' "choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": null, "finish_reason": null}]}\n\n'
)
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error": {"message": "m", "type": "server_error", "param": null, "code": null}}\n\n'
Change = Callable[[bytes], bytes]


class ChangedApi:
    """The API with each piece of a body changed."""

    def __init__(self, app: ASGIApp, change: Change) -> None:
        self._app = app
        self._change = change

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [header for header in message["headers"] if header[0] != b"content-length"]
            elif scope["path"] != "/openapi.json":
                message["body"] = self._change(message.get("body", b""))
            await send(message)

        await self._app(scope, receive, send_changed if scope["type"] == "http" else send)


@contextmanager
def changed_server(change: Change) -> Iterator[str]:
    """Real HTTP in front of a scripted service, because the content of the answers does not matter."""
    app = create_app(Settings(), ScriptedService(), Metrics(), Lifecycle())
    server = uvicorn.Server(uvicorn.Config(ChangedApi(app, change), port=0, log_level="error"))
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    while not server.started:
        assert thread.is_alive()
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def test_a_correct_service_passes(tmp_path: Path) -> None:
    with changed_server(lambda body: body) as url:
        report = run_schemathesis(url, tmp_path, *EXAMPLES)
    assert report.exit_code == 0, report.output
    assert [case.is_stream for case in report.cases].count(True) == 2


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda body: body.replace(b'"created":1700000000', b'"created":"today"'), "Response violates schema"),
        (lambda body: body.replace(MODEL.encode(), b"").replace(b'"model":"",', b""), "Response violates schema"),
        (lambda body: body.replace(DONE, b""), "Custom check failed: `event_stream_conformance`"),
        (lambda body: body.replace(DONE, ERROR + DONE), "Custom check failed: `event_stream_conformance`"),
        (lambda body: body.replace(b'data: {"id"', b"data: {id"), "Custom check failed: `event_stream_conformance`"),
    ],
    ids=["a field of another type", "a field is missing", "no [DONE]", "[DONE] after an error", "an event that is not JSON"],
)
def test_a_violation_is_found(tmp_path: Path, change: Change, found: str) -> None:
    with changed_server(change) as url:
        report = run_schemathesis(url, tmp_path, *EXAMPLES)
    assert report.exit_code == 1
    assert found in report.failures, report.output


@pytest.mark.parametrize("content", [CHUNK + DONE, CHUNK + ERROR, b": keep-alive\n\n" + CHUNK + DONE, ERROR])
def test_a_good_stream_passes(content: bytes) -> None:
    check_stream(CHAT, content, include_usage=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "ends within an event"),
        (CHUNK, "neither"),
        (CHUNK + DONE[:-1], "ends within an event"),
        (DONE + CHUNK, "before the last"),
        (CHUNK + DONE + DONE, "before the last"),
        (ERROR + DONE, "not a chunk"),
        (CHUNK + DONE + ERROR, "before the last"),
        (CHUNK.replace(b"1", b'"1"') + DONE, "not a chunk"),
        (CHUNK.replace(b'"id": "c", ', b"") + DONE, "not a chunk"),
        (CHUNK.replace(b'"m",', b'"m", "usage": null,') + DONE, "usage, although not requested"),
        (b"event: chunk\n" + CHUNK + DONE, "not an event of one data line"),
    ],
)
def test_a_bad_stream_fails(content: bytes, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_stream(CHAT, content, include_usage=False)


def test_missing_usage_fails() -> None:
    with pytest.raises(AssertionError, match="no usage"):
        check_stream(CHAT, CHUNK + DONE, include_usage=True)
