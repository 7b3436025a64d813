from collections.abc import Iterator

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import ScriptedService

from llm_api.service.model_service import ServicePhase


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(ScriptedService()) as running:
        yield running


@pytest.mark.parametrize(
    ("phase", "progressing", "livez", "readyz", "healthz"),
    [
        ("ready", True, 200, 200, 200),
        ("loading", True, 200, 503, 503),
        ("loading", False, 503, 503, 503),
        ("ready", False, 503, 200, 503),
        ("failed", False, 503, 503, 503),
    ],
)
def test_probes_report_the_service_state(
    server: RunningServer, phase: ServicePhase, progressing: bool, livez: int, readyz: int, healthz: int
) -> None:
    server.service.phase, server.service.progressing = phase, progressing
    with server.client() as http:
        answers = {path: http.get(path) for path in ("/livez", "/readyz", "/healthz")}
        assert f"llm_ready {1.0 if readyz == 200 else 0.0}" in http.get("/metrics").text.splitlines()
    assert [answer.status_code for answer in answers.values()] == [livez, readyz, healthz]
    assert all(answer.json()["phase"] == phase and answer.json()["detail"] for answer in answers.values())


@pytest.mark.parametrize(("phase", "status"), [("ready", 200), ("failed", 503)])
@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz"])
def test_probes_support_head(server: RunningServer, path: str, phase: ServicePhase, status: int) -> None:
    server.service.phase, server.service.progressing = phase, True
    with server.client() as http:
        response = http.head(path)
        assert (response.status_code, response.content) == (status, b"")
        assert http.get(path).status_code == status  # the connection is still usable


@pytest.mark.parametrize("phase", ["loading", "failed"])
def test_a_model_that_cannot_serve_answers_503_with_retry_after(server: RunningServer, phase: ServicePhase) -> None:
    server.service.phase = phase
    with server.client() as http:
        for response in (http.post(CHAT, json=chat_body()), http.get("/v1/models")):
            assert response.status_code == 503
            assert int(response.headers["retry-after"]) >= 1
            assert response.json()["error"]["code"] == "service_unavailable"
        assert f'llm_admission_rejections_total{{reason="{phase}"}} 2.0' in http.get("/metrics").text
        assert http.get("/docs").status_code == 200


def test_a_management_port_serves_only_probes_and_metrics() -> None:
    entry = "alice:" + "0" * 64
    with running_server(management_port=0, api_keys=entry) as server, server.client(headers={"authorization": "Bearer x"}) as http:
        assert server.management_url
        with httpx2.Client(base_url=server.management_url) as management:
            for path in ("/healthz", "/livez", "/readyz", "/metrics"):
                assert management.get(path).status_code == 200
                assert http.get(path).status_code in (401, 404)
            assert management.get("/v1/models").status_code == 404
            assert management.get("/docs").status_code == 404
            assert management.get("/openapi.json").status_code == 404
            assert management.get("/v1/models").json()["error"]["type"] == "invalid_request_error"
