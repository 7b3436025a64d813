"""`llm-api smoke` passes if all responses are complete, else reports the response."""

import json
from collections.abc import Callable

import httpx2
import pytest
from cli.commands import run_cli

MODELS = {"object": "list", "data": [{"id": "tiny", "object": "model"}]}
ANSWER = {"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]}
EVENTS = [
    {"choices": [{"delta": {"content": "Hel"}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": "lo!"}, "finish_reason": "stop"}]},
]

Service = Callable[[httpx2.Request], httpx2.Response]


def service(events: list[object] = [*EVENTS, "[DONE]"], answer: object = ANSWER) -> Service:  # noqa: B006
    def respond(request: httpx2.Request) -> httpx2.Response:
        if request.headers.get("authorization") != "Bearer key-of-smoke":
            return httpx2.Response(401, json={"error": {"message": "no key"}})
        if request.url.path == "/v1/models":
            return httpx2.Response(200, json=MODELS)
        if json.loads(request.content).get("stream"):
            text = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events)
            return httpx2.Response(200, text=": comment\n\n" + text)
        return httpx2.Response(200, json=answer)

    return respond


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Service], None]:
    """Replaces the network by the service."""

    def install(respond: Service) -> None:
        client = httpx2.Client
        monkeypatch.setattr("llm_api.smoke.httpx2.Client", lambda **options: client(**options, transport=httpx2.MockTransport(respond)))

    return install


def test_it_requests_models_a_completion_and_a_stream(answering: Callable[[Service], None]) -> None:
    answering(service())
    result = run_cli("smoke", "http://service", env={"API_KEY": "key-of-smoke"})
    assert result.exit_code == 0, result.output
    assert [line.split(" ok")[0] for line in result.stdout.splitlines()] == ["models", "chat", "stream"]
    assert "'Hello!'" in result.stdout


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (service(events=EVENTS), "stream: ended without [DONE]"),
        (service(events=["[DONE]"]), "stream: incomplete response"),
        (service(answer={"choices": []}), "chat: unexpected response format"),
        (service(answer={"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}), "chat: incomplete response"),
    ],
)
def test_an_incomplete_response_fails_its_check(answering: Callable[[Service], None], broken: Service, reason: str) -> None:
    answering(broken)
    result = run_cli("smoke", "http://service", env={"API_KEY": "key-of-smoke"})
    assert result.exit_code == 1
    assert f"llm-api: smoke: {reason}" in result.stderr


def test_a_refused_key_fails_at_once_and_is_not_shown(answering: Callable[[Service], None]) -> None:
    answering(service())
    result = run_cli("smoke", "http://service", env={"API_KEY": "another-key"})
    assert result.exit_code == 1
    assert "models: HTTP 401" in result.stderr
    assert "another-key" not in result.output


def test_a_busy_service_is_retried(answering: Callable[[Service], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    refusals = [503, 429]

    def busy(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(refusals.pop()) if refusals else service()(request)

    answering(busy)
    assert run_cli("smoke", "http://service", "--patience", "5", env={"API_KEY": "key-of-smoke"}).exit_code == 0


def test_an_unreachable_service_is_reported_in_one_line() -> None:
    result = run_cli("smoke", "http://127.0.0.1:9", "--patience", "0")
    assert result.exit_code == 1
    assert "llm-api: smoke: models: " in result.stderr
    assert "Traceback" not in result.output
