"""When the engine dies or hangs, clients and probes hear of it."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import APIError, InternalServerError
from openai.types.chat import ChatCompletionUserMessageParam
from serving.conftest import StartServer
from serving.service_process import ServiceProcess

ENDLESS: ChatCompletionUserMessageParam = {"role": "user", "content": "Count to a million."}


def stream_to_its_end(server: ServiceProcess) -> str:
    stream = server.client().chat.completions.create(
        model="smol", messages=[ENDLESS], max_tokens=4000, stream=True, extra_body={"ignore_eos": True}
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def ask(server: ServiceProcess) -> object:
    return server.client().chat.completions.create(model="smol", messages=[ENDLESS], max_tokens=4000, extra_body={"ignore_eos": True})


def wait_running(server: ServiceProcess, count: int) -> None:
    deadline = time.monotonic() + 20
    while server.metric("llm_num_requests_running") < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_engine_fails_what_runs_and_ends_the_server(start_server: StartServer) -> None:
    server = start_server()
    with ThreadPoolExecutor(2) as pool:
        streaming, plain = pool.submit(stream_to_its_end, server), pool.submit(ask, server)
        wait_running(server, 2)
        os.kill(server.engine.pid, signal.SIGKILL)
        killed = time.monotonic()
        assert server.process.wait(5) not in (0, None)
        assert time.monotonic() - killed < 5
    with pytest.raises(APIError, match="engine"):
        streaming.result()
    with pytest.raises(InternalServerError):
        plain.result()
    assert "SIGKILL" in server.log()
    assert "Traceback" not in server.log()


def test_a_hung_engine_turns_livez_red_while_http_answers(start_server: StartServer) -> None:
    server = start_server(ENGINE_STALL_TIMEOUT="3")
    assert server.get("/livez").status_code == 200
    engine = server.engine
    engine.suspend()  # stands for a step that never ends
    try:
        started = time.monotonic()
        while server.get("/livez").status_code == 200:
            assert time.monotonic() - started < 6
            time.sleep(0.1)
        assert time.monotonic() - started > 1
        asked = time.monotonic()
        assert server.get("/v1/models").status_code == 200
        assert time.monotonic() - asked < 1
    finally:
        engine.resume()
    while server.get("/livez").status_code != 200:
        assert time.monotonic() - started < 15
        time.sleep(0.1)


def test_an_idle_engine_is_alive(start_server: StartServer) -> None:
    server = start_server(ENGINE_STALL_TIMEOUT="2")
    for _ in range(8):
        assert server.get("/livez").status_code == 200
        time.sleep(0.5)
