"""Clients get errors and probes fail when the engine hangs or dies. The last test ends the server that all tests here share."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import APIError, InternalServerError
from openai.types.chat import ChatCompletionUserMessageParam
from serving.service_process import ServiceProcess, service_process

ENDLESS: ChatCompletionUserMessageParam = {"role": "user", "content": "Count to a million."}
STALL_TIMEOUT = 3  # seconds
BUSY_TOKENS = 400  # a request that lasts seconds


@pytest.fixture(scope="module")
def server(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    log = tmp_path_factory.mktemp("server") / "log"
    with service_process(model_path, log, ENGINE_STALL_TIMEOUT=str(STALL_TIMEOUT)) as process:
        yield process


def stream_to_its_end(server: ServiceProcess, max_tokens: int = 4000) -> str:
    stream = server.client().chat.completions.create(
        model="smol", messages=[ENDLESS], max_tokens=max_tokens, stream=True, extra_body={"ignore_eos": True}
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def ask(server: ServiceProcess) -> object:
    return server.client().chat.completions.create(model="smol", messages=[ENDLESS], max_tokens=4000, extra_body={"ignore_eos": True})


def wait_running(server: ServiceProcess, count: int) -> None:
    deadline = time.monotonic() + 20
    while server.metric("llm_num_requests_running") < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_idle_engine_is_alive(server: ServiceProcess) -> None:
    started = time.monotonic()
    while time.monotonic() - started < STALL_TIMEOUT + 1:
        assert server.get("/livez").status_code == 200
        time.sleep(0.5)


def test_an_idle_engine_that_hangs_fails_livez_while_http_still_works(server: ServiceProcess) -> None:
    assert server.metric("llm_num_requests_running") == 0
    assert_livez_follows_the_engine(server)


def test_a_busy_engine_that_hangs_fails_livez_and_then_finishes_its_request(server: ServiceProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        streaming = pool.submit(stream_to_its_end, server, BUSY_TOKENS)
        wait_running(server, 1)
        assert_livez_follows_the_engine(server)
        assert streaming.result()


def assert_livez_follows_the_engine(server: ServiceProcess) -> None:
    assert server.get("/livez").status_code == 200
    engine = server.engine
    engine.suspend()  # like a step that never ends
    try:
        wait_livez(server, 503)
        assert server.get("/v1/models").status_code == 200
    finally:
        engine.resume()
    wait_livez(server, 200)


def test_a_killed_engine_fails_its_requests_and_ends_the_server(server: ServiceProcess) -> None:
    with ThreadPoolExecutor(2) as pool:
        streaming, plain = pool.submit(stream_to_its_end, server), pool.submit(ask, server)
        wait_running(server, 2)
        os.kill(server.engine.pid, signal.SIGKILL)
        assert server.process.wait(20) not in (0, None)
    with pytest.raises(APIError, match="engine"):
        streaming.result()
    with pytest.raises(InternalServerError):
        plain.result()
    assert "SIGKILL" in server.log()
    assert "Traceback" not in server.log()


def wait_livez(server: ServiceProcess, status: int) -> None:
    deadline = time.monotonic() + 30
    while server.get("/livez").status_code != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)
