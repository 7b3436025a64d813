import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import MODEL
from structlog.testing import capture_logs

from llm_api.api.keys import ApiKeys, ApiKeysError, new_key, parse_keys

OPEN = ["/healthz", "/livez", "/readyz", "/docs", "/openapi.json", "/docs/assets/swagger-ui.css"]


def entry(name: str, key: str) -> str:
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def status(server: RunningServer, path: str = "/v1/models", **headers: str) -> int:
    return httpx2.get(server.url + path, headers=headers).status_code


def test_a_new_key_fits_its_entry() -> None:
    key, line = new_key("alice")
    assert ApiKeys(line, None).name_of(key) == "alice"
    assert ApiKeys(line, None).name_of(key + "x") is None
    assert key not in line


def test_keys_from_both_sources_are_known(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# team\n{entry('alice', 'a-key')}\n\n{entry('bob', 'b-key')}\n")
    keys = ApiKeys(f"{entry('carol', 'c-key')},{entry('dave', 'd-key')}", file)
    assert [keys.name_of(f"{letter}-key") for letter in "abcde"] == ["alice", "bob", "carol", "dave", None]


@pytest.mark.parametrize("text", ["alice", "alice:abc", f"al ice:{'0' * 64}", f"{'0' * 64}", f"alice:{'g' * 64}"])
def test_a_malformed_entry_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ApiKeysError, match="entry 2 is not `name:sha256`") as raised:
        parse_keys(f"{entry('bob', 'b')}\n{text}", "API_KEYS")
    assert text not in str(raised.value)


def test_a_source_without_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# none yet\n")
    with pytest.raises(ApiKeysError, match="hold no key"):
        ApiKeys(None, tmp_path / "keys")
    with pytest.raises(ApiKeysError, match="cannot be read"):
        ApiKeys(None, tmp_path / "absent")


def test_all_but_health_and_docs_needs_a_key() -> None:
    with running_server(api_keys=entry("alice", "a-key")) as server:
        for path in OPEN:
            assert status(server, path) == 200, path
        for path in [
            "/v1/models",
            f"/v1/models/{MODEL}",
            CHAT,
            "/v1/completions",
            "/metrics",
            "/",
            "/anything",
            "/docs/",
            "/docs/x",
            "/v1",
        ]:
            assert status(server, path) == 401, path
        assert status(server, authorization="Bearer a-key") == 200
        assert status(server, "/metrics", authorization="bearer a-key") == 200


def test_no_key_and_a_wrong_key_are_told_apart() -> None:
    with running_server(api_keys=entry("alice", "a-key")) as server:
        for headers, code in (
            ({}, None),
            ({"authorization": "Bearer"}, None),
            ({"authorization": "Basic a-key"}, None),
            ({"authorization": "Bearer wrong-key"}, "invalid_api_key"),
            ({"authorization": "Bearer \xff\xfe"}, "invalid_api_key"),
        ):
            response = httpx2.post(
                server.url + CHAT, json=chat_body(), headers=[(k.encode(), v.encode("latin-1")) for k, v in headers.items()]
            )
            assert response.status_code == 401
            assert (response.json()["error"]["code"], response.json()["error"]["type"]) == (code, "invalid_request_error")
            assert "wrong-key" not in response.text


def test_the_official_client_is_let_in_with_its_key() -> None:
    with running_server(api_keys=entry("alice", "a-key")) as server:
        assert server.openai("a-key").models.list().data[0].id == MODEL


def test_the_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(entry("alice", "a-key"))
    with running_server(api_keys_file=file) as server:
        assert status(server, authorization="Bearer b-key") == 401
        replacement = tmp_path / "new"
        replacement.write_text(entry("bob", "b-key"))
        replacement.rename(file)
        assert status(server, authorization="Bearer b-key") == 200
        assert status(server, authorization="Bearer a-key") == 401
        file.write_text("broken")
        assert status(server, authorization="Bearer b-key") == 200
        file.write_text("# nobody any more")
        assert status(server, authorization="Bearer b-key") == 401


def key_metrics(server: RunningServer) -> dict[str, float]:
    assert server.management_url
    lines = httpx2.get(f"{server.management_url}/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.split() for line in lines if line.startswith("llm_api_keys_"))}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.unlink(),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: file.write_bytes(b"\xff\xfe"),
        lambda file: file.write_text(entry("bob", "b-key")[:-1]),
    ],
    ids=["deleted", "a directory", "binary", "cut short"],
)
def test_a_file_that_cannot_be_read_is_an_error_until_it_can(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    file = tmp_path / "keys"
    file.write_text(entry("alice", "a-key"))
    with capture_logs() as logs, running_server(api_keys_file=file, management_port=0) as server:
        assert key_metrics(server) == {"llm_api_keys_loaded": 1, "llm_api_keys_last_reload_success": 1}
        spoil(file)
        assert key_metrics(server) == {"llm_api_keys_loaded": 1, "llm_api_keys_last_reload_success": 0}
        assert [status(server, authorization="Bearer a-key") for _ in range(3)] == [200] * 3
        errors = [line for line in logs if line["log_level"] == "error"]
        assert len(errors) == 1 and str(file) in errors[0]["reason"]
        (tmp_path / "new").write_text(entry("bob", "b-key"))
        if file.is_dir():
            file.rmdir()
        (tmp_path / "new").rename(file)
        assert key_metrics(server) == {"llm_api_keys_loaded": 1, "llm_api_keys_last_reload_success": 1}
        assert status(server, authorization="Bearer a-key") == 401


def test_a_file_that_stays_unreadable_is_complained_of_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.api.keys.RETRY", 0)
    file = tmp_path / "keys"
    file.write_text(entry("alice", "a-key"))
    with capture_logs() as logs:
        keys = ApiKeys(None, file)
        file.unlink()
        assert [keys.name_of("a-key") for _ in range(3)] == ["alice"] * 3
    assert [line["log_level"] for line in logs] == ["error"] * 3


def test_a_file_without_keys_revokes_them_all_and_is_an_error_in_the_log(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(entry("alice", "a-key"))
    with capture_logs() as logs, running_server(api_keys_file=file, management_port=0) as server:
        file.write_text("")
        assert status(server, authorization="Bearer a-key") == 401
        assert key_metrics(server)["llm_api_keys_loaded"] == 0
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["no API key any more: nobody is let in"]


def test_without_keys_there_are_no_key_metrics() -> None:
    with running_server() as server:
        assert "llm_api_keys" not in httpx2.get(f"{server.url}/metrics").text


def test_tokens_are_counted_per_key_name() -> None:
    with running_server(api_keys=f"{entry('alice', 'a-key')},{entry('bob', 'b-key')}") as server:
        for key, calls in (("a-key", 2), ("b-key", 1)):
            for _ in range(calls):
                httpx2.post(server.url + CHAT, json=chat_body(), headers={"authorization": f"Bearer {key}"})
        metrics = httpx2.get(server.url + "/metrics", headers={"authorization": "Bearer a-key"}).text
    assert 'llm_key_tokens_total{key="alice",kind="prompt"} 14.0' in metrics
    assert 'llm_key_tokens_total{key="alice",kind="completion"} 8.0' in metrics
    assert 'llm_key_tokens_total{key="bob",kind="prompt"} 7.0' in metrics
