"""The addresses the server listens on, the settings it refuses, and a service that fails."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest
from api.running_server import running_server
from api.scripted_process import start_process
from api.scripted_service import MODEL, Script, ScriptedService
from openai import APIError
from structlog.testing import capture_logs

from llm_api.app import serve_api
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

ALL_INTERFACES = "0.0.0.0"  # noqa: S104


def test_a_port_in_use_is_one_log_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start_process({"PORT": port})
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 71
    assert errors.count("\n") == 1
    assert f"port {port}" in errors


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"host": ALL_INTERFACES}, ["API_KEYS_FILE", "ALLOW_ANONYMOUS", ALL_INTERFACES]),
        ({"host": "::"}, ["API_KEYS_FILE", "ALLOW_ANONYMOUS"]),
        ({"host": "a-name"}, ["API_KEYS_FILE", "ALLOW_ANONYMOUS"]),
        ({"drain_timeout": 10, "request_timeout": 20}, ["DRAIN_TIMEOUT (10)", "REQUEST_TIMEOUT (20)"]),
        ({"api_keys": "alice:abc"}, ["API_KEYS", "entry 1"]),
        ({"api_keys_file": Path("/nonexistent")}, ["API_KEYS_FILE", "/nonexistent"]),
        ({"host": "192.0.2.1", "allow_anonymous": True}, ["192.0.2.1", "HOST"]),
    ],
)
async def test_invalid_settings_are_named(values: dict[str, Any], words: list[str]) -> None:
    with capture_logs() as logs:
        assert await serve_api(Settings(port=0, **values), ScriptedService(), Metrics()) in (71, 78)
    assert [line["event"] for line in logs] == ["not started"]
    assert all(word in logs[0]["reason"] for word in words)


@pytest.mark.parametrize("values", [{"allow_anonymous": True}, {"api_keys": "alice:" + "0" * 64}])
def test_all_interfaces_need_keys_or_allow_anonymous(values: dict[str, Any]) -> None:
    with running_server(host=ALL_INTERFACES, **values) as server:
        assert httpx2.get(server.url.replace(ALL_INTERFACES, "127.0.0.1") + "/readyz").status_code == 200


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs IPv6")
def test_ipv6_is_served() -> None:
    with running_server(host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx2.get(server.url + "/readyz").status_code == 200


def test_a_failed_service_gives_errors_and_a_non_zero_exit(caplog: pytest.LogCaptureFixture) -> None:
    service = ScriptedService()
    service.scripts["hold"] = Script(hold_after=1)
    with caplog.at_level("WARNING", "uvicorn"), capture_logs() as logs, running_server(service) as server:
        chunks = server.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hold"}], stream=True)
        assert next(chunks).choices[0].delta.role == "assistant"
        service.fail("the engine process died: killed")
        with pytest.raises(APIError, match="engine failed"):
            list(chunks)
        server.join()
    assert server.exit_code == 1
    assert "the engine process died: killed" in [line.get("reason") for line in logs]
    assert not caplog.messages


async def test_a_cancelled_server_stops_its_service() -> None:
    service, listening = ScriptedService(), asyncio.Event()
    server = asyncio.create_task(serve_api(Settings(port=0), service, Metrics(), lambda _: listening.set()))
    await listening.wait()
    await asyncio.sleep(0)
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server
    assert service.phase == "failed"
