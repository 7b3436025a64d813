"""Which engine it is, whether it is ready, and whether it makes progress."""

import threading
import time

import httpx2
import pytest
from upstream.front import Front, front
from upstream.scripted_upstream import MODEL, VLLM, Exchange, piece, said, scripted_upstream


def models(owned_by: str, **fields: object) -> dict[str, tuple[int, object]]:
    return {"/v1/models": (200, {"data": [{"id": MODEL, "owned_by": owned_by, **fields}]})}


UP: dict[str, tuple[int, object]] = {"/health": (200, ""), "/ready": (200, ""), "/health/ready": (200, "")}
INFO: dict[str, tuple[int, object]] = {"/info": (200, {"router": "text-generation-router", "max_total_tokens": 512})}
SEEN = [
    (VLLM, {"repetition_penalty": 1.0, "top_k": 0}, 4096),
    (UP | models("sglang", max_model_len=4096), {"repetition_penalty": 1.0, "top_k": -1}, 4096),
    (UP | models("tensorrt_llm"), {"repetition_penalty": 1.0, "top_k": 0}, None),
    (UP | models("llamacpp", meta={"n_ctx": 2048}), {"repeat_penalty": 1.0, "top_k": 0}, 2048),
    (UP | models(MODEL) | INFO, {"model": "tgi", "temperature": 1.0, "presence_penalty": None, "top_p": None}, 512),
    (UP | models("Triton Inference Server"), {"temperature": 1.0, "top_k": None, "max_tokens": 2048}, None),
    (UP | models("me"), {"temperature": 1.0, "top_k": None}, None),
]


def status(server: Front, path: str) -> int:
    return httpx2.get(server.url + path).status_code


@pytest.mark.parametrize(("gets", "sent", "length"), SEEN, ids=["vllm", "sglang", "tensorrt-llm", "llama-server", "tgi", "triton", "other"])
def test_the_engine_is_recognised(gets: dict[str, tuple[int, object]], sent: dict[str, object], length: int | None) -> None:
    with scripted_upstream(gets) as engine, front(engine.url, "auto") as server:
        engine.answers(lambda exchange: exchange.json(said()))
        assert server.post().status_code == 200
        assert {name: engine.body.get(name) for name in sent} == sent
        assert httpx2.get(server.url + "/v1/models").json()["data"][0]["max_model_len"] == length


def test_a_loading_engine_is_waited_for() -> None:
    with scripted_upstream(VLLM | {"/health": (503, "")}) as engine, front(engine.url, "auto", ready=False) as server:
        response = server.post()
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert "/health answers 503" in httpx2.get(server.url + "/readyz").json()["detail"]
        assert (status(server, "/livez"), status(server, "/livez/engine"), status(server, "/readyz")) == (200, 200, 503)
        engine.gets["/health"] = (200, "")
        server.wait_for("/readyz", 200)


def test_an_engine_that_loads_for_too_long_is_reported() -> None:
    with scripted_upstream(VLLM | {"/health": (503, "")}) as engine, front(engine.url, ready=False, load_timeout=0.5) as server:
        server.wait_for("/livez/engine", 503)
        assert status(server, "/livez") == 200


def test_a_model_that_the_engine_does_not_have_is_named() -> None:
    with scripted_upstream() as engine, front(engine.url, ready=False, model="other") as server:
        detail = f"the engine has no model 'other': set UPSTREAM_MODEL to one of {MODEL}"
        deadline = time.monotonic() + 10
        while (found := httpx2.get(server.url + "/readyz").json()["detail"]) != detail:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)


def test_an_engine_that_went_away_is_not_ready_until_it_is_back() -> None:
    with scripted_upstream() as engine, front(engine.url) as server:
        engine.gets["/health"] = (503, "")
        server.wait_for("/readyz", 503)
        assert status(server, "/livez") == 200
        engine.gets["/health"] = (200, "")
        server.wait_for("/readyz", 200)


def test_an_idle_engine_is_not_hung() -> None:
    with scripted_upstream() as engine, front(engine.url, stall_timeout=1.5) as server, pytest.raises(AssertionError):
        server.wait_for("/livez/engine", 503, seconds=4)


def test_a_request_without_progress_shows_a_hung_engine_until_its_counters_move() -> None:
    released = threading.Event()

    def silent(exchange: Exchange) -> None:
        released.wait(30)
        exchange.json(said())

    with scripted_upstream() as engine, front(engine.url, stall_timeout=1.5) as server:
        engine.answers(silent)
        client = threading.Thread(target=server.post)
        client.start()
        server.wait_for("/livez/engine", 503)
        assert status(server, "/livez") == 200
        response = server.post()
        assert (response.status_code, response.json()["error"]["code"]) == (503, "service_unavailable")
        engine.gets["/metrics"] = (200, "vllm:generation_tokens_total 1.0\n")
        server.wait_for("/livez/engine", 200)
        server.wait_for("/livez/engine", 503)
        released.set()
        client.join()
        server.wait_for("/livez/engine", 200)


def test_a_stream_that_moves_is_progress() -> None:
    stop = threading.Event()

    def slow(exchange: Exchange) -> None:
        exchange.begin_events()
        while not stop.wait(0.3):
            exchange.event(piece({"content": "a"}))
        exchange.end_events()

    with scripted_upstream() as engine, front(engine.url, stall_timeout=1.5) as server:
        engine.answers(slow)
        client = threading.Thread(target=server.post, kwargs={"stream": True})
        client.start()
        with pytest.raises(AssertionError):
            server.wait_for("/livez/engine", 503, seconds=4)
        stop.set()
        client.join()
