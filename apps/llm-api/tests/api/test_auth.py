"""Requests with and without API keys, and a file of keys that changes while the server runs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, key_entry, running_server
from api.scripted_service import MODEL
from structlog.testing import capture_logs

OPEN = ["/healthz", "/livez", "/readyz", "/docs", "/openapi.json", "/docs/assets/swagger-ui.css"]
PROTECTED = [
    f"/v1/models/{MODEL}",
    "/v1/models",
    CHAT,
    "/v1/completions",
    "/metrics",
    "/",
    "/anything",
    "/docs/x",
    "/v1",
    "//v1/models",
    "/v1/models/",
]


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(api_keys=f"{key_entry('alice', 'a-key')},{key_entry('bob', 'b-key')}") as running:
        yield running


def status(server: RunningServer, path: str = "/v1/models", **headers: str) -> int:
    with server.client() as http:
        return http.get(path, headers=headers).status_code


def key_metrics(server: RunningServer) -> dict[str, float]:
    assert server.management_url
    lines = httpx2.get(f"{server.management_url}/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if line.startswith("llm_api_keys_"))}


def test_all_but_health_and_docs_needs_a_key(server: RunningServer) -> None:
    with server.client() as http:
        assert {path: http.get(path).status_code for path in OPEN} == dict.fromkeys(OPEN, 200)
        assert {path: http.get(path).status_code for path in PROTECTED} == dict.fromkeys(PROTECTED, 401)
    assert status(server, authorization="Bearer a-key") == 200
    assert status(server, "/metrics", authorization="bearer a-key") == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({b"authorization": b"Bearer"}, None),
        ({b"authorization": b"Basic a-key"}, None),
        ({b"authorization": b"Bearer wrong-key"}, "invalid_api_key"),
        ({b"authorization": b"Bearer \xff\xfe"}, "invalid_api_key"),
    ],
)
def test_no_key_and_a_wrong_key_are_different_errors(server: RunningServer, headers: dict[bytes, bytes], code: str | None) -> None:
    with server.client() as http:
        response = http.post(CHAT, json=chat_body(), headers=list(headers.items()))
    assert response.status_code == 401
    assert (response.json()["error"]["code"], response.json()["error"]["type"]) == (code, "invalid_request_error")
    assert "wrong-key" not in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "b-key"},
        {"api-key": "b-key"},
        {"authorization": "Basic x", "api-key": "b-key"},
        {"authorization": "Bearer b-key", "x-api-key": "wrong"},
    ],
)
def test_a_key_may_come_in_the_headers_of_other_apis(server: RunningServer, headers: dict[str, str]) -> None:
    assert status(server, **headers) == 200


def test_the_first_key_counts(server: RunningServer) -> None:
    assert status(server, **{"authorization": "Bearer wrong", "x-api-key": "b-key"}) == 401
    assert status(server, **{"x-api-key": "wrong"}) == 401


def test_the_official_client_is_accepted_with_its_key(server: RunningServer) -> None:
    assert server.openai("a-key").models.list().data[0].id == MODEL


def test_tokens_are_counted_per_key_name(server: RunningServer) -> None:
    with server.client() as http:
        for key in ("a-key", "a-key", "b-key"):
            http.post(CHAT, json=chat_body(), headers={"authorization": f"Bearer {key}"})
        metrics = http.get("/metrics", headers={"authorization": "Bearer a-key"}).text
    assert 'llm_key_tokens_total{key="alice",kind="prompt"} 14.0' in metrics
    assert 'llm_key_tokens_total{key="alice",kind="completion"} 8.0' in metrics
    assert 'llm_key_tokens_total{key="bob",kind="prompt"} 7.0' in metrics


def test_the_file_is_reloaded_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(key_entry("alice", "a-key"))
    with running_server(api_keys_file=file) as server:
        assert status(server, authorization="Bearer b-key") == 401
        replacement = tmp_path / "new"
        replacement.write_text(key_entry("bob", "b-key"))
        replacement.rename(file)
        assert status(server, authorization="Bearer b-key") == 200
        assert status(server, authorization="Bearer a-key") == 401
        file.write_text("broken")
        assert status(server, authorization="Bearer b-key") == 200
        file.write_text("# no keys")
        assert status(server, authorization="Bearer b-key") == 401


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.unlink(),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.write_text(key_entry("bob", "b-key")[:-1]),
    ],
    ids=["deleted", "a directory", "binary", "cut short"],
)
def test_an_unreadable_file_is_an_error_until_it_is_replaced(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    file = tmp_path / "keys"
    file.write_text(key_entry("alice", "a-key"))
    with capture_logs() as logs, running_server(api_keys_file=file, management_port=0) as server:
        assert key_metrics(server) == {"llm_api_keys_loaded": 1, "llm_api_keys_last_reload_success": 1}
        spoil(file)
        assert key_metrics(server) == {"llm_api_keys_loaded": 1, "llm_api_keys_last_reload_success": 0}
        assert [status(server, authorization="Bearer a-key") for _ in range(3)] == [200] * 3
        errors = [line for line in logs if line["log_level"] == "error"]
        assert len(errors) == 1 and str(file) in errors[0]["reason"]
        (tmp_path / "new").write_text(key_entry("bob", "b-key"))
        if file.is_dir():
            file.rmdir()
        (tmp_path / "new").rename(file)
        assert key_metrics(server) == {"llm_api_keys_loaded": 1, "llm_api_keys_last_reload_success": 1}
        assert status(server, authorization="Bearer a-key") == 401


def test_a_file_without_keys_revokes_all_of_them_and_logs_an_error(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(key_entry("alice", "a-key"))
    with capture_logs() as logs, running_server(api_keys_file=file, management_port=0) as server:
        file.write_text("")
        assert status(server, authorization="Bearer a-key") == 401
        assert key_metrics(server)["llm_api_keys_loaded"] == 0
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["no API keys left: every request is refused"]


def test_without_keys_there_are_no_key_metrics(http: httpx2.Client) -> None:
    assert "llm_api_keys" not in http.get("/metrics").text
