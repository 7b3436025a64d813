import json
import signal

import httpx2
from api.running_server import CHAT, chat_body, running_server
from api.scripted_process import scripted_process

KEY, ENTRY = "secret-key", "alice:85dbe15d75ef9308c7ae0f33c7a324cc6f4bf519a2ed2f3027bd33c140a4f9aa"


def test_requests_are_logged_as_json_without_prompts_or_keys() -> None:
    with scripted_process(API_KEYS=ENTRY, LOG_LEVEL="debug", LAME_DUCK_SECONDS="0") as (process, url):
        headers = {"authorization": f"Bearer {KEY}", "x-request-id": "mine"}
        assert httpx2.post(url + CHAT, json=chat_body("a secret prompt"), headers=headers).status_code == 200
        assert httpx2.post(url + CHAT + "?secret=1", json=chat_body("a secret prompt", n=0), headers=headers).status_code == 400
        assert httpx2.post(url + CHAT, json=chat_body("crash"), headers=headers).status_code == 500
        assert httpx2.post(url + CHAT, json=chat_body(), headers={"authorization": "Bearer secret-too"}).status_code == 401
        process.send_signal(signal.SIGTERM)
        _, output = process.communicate(timeout=5)
    lines = [json.loads(line) for line in output.splitlines()]
    assert "secret" not in output
    done, bad, crashed, denied = [line for line in lines if line["event"] == "request"]
    assert (done["status"], done["key_name"], done["request_id"], done["path"]) == (200, "alice", "mine", CHAT)
    assert (done["prompt_tokens"], done["completion_tokens"], done["finish_reason"]) == (7, 4, "stop")
    assert done["seconds"] >= 0
    assert done["level"] == "info"
    assert (bad["status"], crashed["status"], denied["status"]) == (400, 500, 401)
    assert "key_name" not in denied
    failure = next(line for line in lines if line["event"] == "request failed")
    assert failure["error"] == "RuntimeError"
    assert any("scripted_service.py" in frame for frame in failure["frames"])
    assert failure["request_id"] == "mine"


def test_requests_are_counted_in_the_metrics() -> None:
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
