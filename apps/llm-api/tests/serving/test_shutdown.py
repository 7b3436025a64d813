"""SIGTERM, a second signal, and SIGKILL with the real engine: requests finish, and no process is left."""

import asyncio
import signal
import time
from pathlib import Path

import httpx2
import psutil
import pytest
from serving.service_process import ServiceProcess, service_process

STREAMS = 10
LONGER_THAN_THE_LAME_DUCK = 150  # tokens of each stream


def body(max_tokens: int, *, stream: bool) -> dict[str, object]:
    message = {"role": "user", "content": "Tell me a long story."}
    return {"model": "smol", "messages": [message], "max_tokens": max_tokens, "stream": stream, "ignore_eos": True}


async def stream_once(client: httpx2.AsyncClient, started: asyncio.Semaphore) -> list[str]:
    events: list[str] = []
    async with client.stream("POST", "/v1/chat/completions", json=body(LONGER_THAN_THE_LAME_DUCK, stream=True)) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                if not events:
                    started.release()
                events.append(line.removeprefix("data: "))
    return events


async def ask_until_refused(client: httpx2.AsyncClient) -> tuple[int, httpx2.Response]:
    served = 0
    while True:
        response = await client.post("/v1/chat/completions", json=body(1, stream=False))
        if response.status_code != 200:
            return served, response
        served += 1


@pytest.mark.timeout(600)
async def test_streams_finish_and_new_requests_are_served_then_refused(model_path: Path, tmp_path: Path) -> None:
    with service_process(model_path, tmp_path / "log", LAME_DUCK_SECONDS="1") as server:
        processes = [psutil.Process(server.process.pid), server.engine]
        async with httpx2.AsyncClient(base_url=server.url, timeout=300) as client:
            started = asyncio.Semaphore(0)
            streams = [asyncio.create_task(stream_once(client, started)) for _ in range(STREAMS)]
            for _ in range(STREAMS):
                await started.acquire()
            server.process.send_signal(signal.SIGTERM)
            while (await client.get("/readyz")).status_code == 200:
                await asyncio.sleep(0.01)
            served, refusal = await ask_until_refused(client)
            finished = await asyncio.gather(*streams)
        assert served > 0
        assert refusal.status_code == 503
        assert refusal.headers["connection"] == "close"
        assert int(refusal.headers["retry-after"]) > 0
        assert [events[-1] for events in finished] == ["[DONE]"] * STREAMS
        assert await asyncio.to_thread(server.process.wait, 20) == 0
    assert not any(process.is_running() for process in processes)


def test_a_second_signal_exits_at_once(model_path: Path, tmp_path: Path) -> None:
    with service_process(model_path, tmp_path / "log", LAME_DUCK_SECONDS="60") as server:
        processes = [psutil.Process(server.process.pid), server.engine]
        server.process.send_signal(signal.SIGTERM)
        wait_for_log(server, "leaving")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) != 0
    assert not any(process.is_running() for process in processes)


def test_a_server_killed_while_it_loads_leaves_no_engine(model_path: Path, tmp_path: Path) -> None:
    """tests/engine kills the parent of an engine that is ready."""
    server = ServiceProcess(model_path, tmp_path / "log")
    engine = server.engine
    server.process.kill()
    server.process.wait()
    engine.wait(30)


def wait_for_log(server: ServiceProcess, event: str) -> None:
    deadline = time.monotonic() + 20
    while not any(entry["event"] == event for entry in server.events()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
