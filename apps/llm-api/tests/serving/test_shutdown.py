"""SIGTERM: what runs finishes, what comes is served for a while, then refused, then all is gone."""

import asyncio
import signal
import time

import httpx2
import psutil
from serving.conftest import StartServer
from serving.service_process import ServiceProcess

STREAMS = 10
LONGER_THAN_THE_LAME_DUCK = 400  # tokens, of ten streams at once


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


async def test_streams_finish_and_new_requests_are_served_then_refused(start_server: StartServer) -> None:
    server = start_server(LAME_DUCK_SECONDS="2")
    family = [psutil.Process(server.process.pid), server.engine]
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
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
    assert not any(process.is_running() for process in family)


def test_a_second_signal_ends_it_now(start_server: StartServer) -> None:
    server = start_server(LAME_DUCK_SECONDS="30")
    family = [psutil.Process(server.process.pid), server.engine]
    server.process.send_signal(signal.SIGTERM)
    wait_for_log(server, "leaving")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) != 0
    assert not any(process.is_running() for process in family)


def test_a_killed_server_leaves_no_engine_behind(start_server: StartServer) -> None:
    server = start_server()
    engine = server.engine
    server.process.kill()
    server.process.wait()
    engine.wait(5)


def wait_for_log(server: ServiceProcess, event: str) -> None:
    deadline = time.monotonic() + 5
    while not any(entry["event"] == event for entry in server.events()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
