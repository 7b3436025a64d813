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
def test_probes_tell_the_service_state(
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
def test_probes_take_head(server: RunningServer, path: str, phase: ServicePhase, status: int) -> None:
    server.service.phase, server.service.progressing = phase, True
    with server.client() as http:
        response = http.head(path)
        assert (response.status_code, response.content) == (status, b"")
        assert http.get(path).status_code == status  # the connection is still in step


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


def test_metrics_count_what_happened() -> None:
    with running_server() as server, server.client() as http:
        http.post(CHAT, json=chat_body())
        http.get("/v1/models/org/tiny-model")
        http.get("/nowhere/1")
        http.request("PROPFIND", "/nowhere/2")
        http.get("/v1/completions")
        response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    for line in (
        'http_requests_total{handler="/v1/chat/completions",method="POST",status="200"} 1.0',
        'http_requests_total{handler="/v1/models/{model:path}",method="GET",status="200"} 1.0',
        'http_requests_total{handler="other",method="GET",status="404"} 1.0',
        'http_requests_total{handler="other",method="other",status="404"} 1.0',
        'http_requests_total{handler="/v1/completions",method="GET",status="405"} 1.0',
        'http_request_duration_seconds_count{handler="/v1/chat/completions",method="POST"} 1.0',
        'llm_key_tokens_total{key="anonymous",kind="completion"} 4.0',
        "llm_num_requests_running 0.0",
        "llm_num_requests_waiting 0.0",
        "llm_kv_cache_usage_perc 0.0",
        "llm_time_to_first_token_seconds_count 0.0",
        "llm_inter_token_latency_seconds_count 0.0",
        "llm_e2e_request_latency_seconds_count 0.0",
        "llm_prompt_tokens_total 0.0",
        "llm_generation_tokens_total 0.0",
    ):
        assert line in response.text


def test_a_management_port_has_probes_and_metrics_for_itself() -> None:
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
