"""SIGTERM and SIGINT, a second signal, and a drain that takes too long."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from subprocess import Popen

import httpx2
import pytest
from api.running_server import CHAT, chat_body
from api.scripted_process import scripted_process, start_process
from api.scripted_service import MODEL, ScriptedService
from openai import APIError, AsyncOpenAI
from structlog.testing import capture_logs

from llm_api.api.cutoff import Cutoff
from llm_api.protocol.errors import GenerationTimeout, Unavailable
from llm_api.server.lifecycle import Lifecycle
from llm_api.server.shutdown import Shutdown
from llm_api.service.model_service import ServicePhase
from llm_api.settings import Settings

Server = tuple["Popen[str]", str]


@pytest.fixture
def server() -> Iterator[Server]:
    with scripted_process(LAME_DUCK_SECONDS="1", LOG_LEVEL="warning") as running:
        yield running


class Stream:
    """A streaming client that counts the words it receives."""

    def __init__(self, url: str, text: str) -> None:
        self.words = 0
        self.begun = asyncio.Event()
        self.done = asyncio.create_task(self._read(AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0), text))

    async def _read(self, client: AsyncOpenAI, text: str) -> int:
        async with client:
            chunks = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], stream=True)
            async for chunk in chunks:
                self.words += bool(chunk.choices[0].delta.content)
                self.begun.set()
        return self.words


async def not_ready(http: httpx2.AsyncClient) -> None:
    """Returns when the server has handled its first signal."""
    while (await http.get("/readyz")).status_code == 200:
        await asyncio.sleep(0.01)


async def test_ten_streams_finish_under_sigterm_and_new_requests_are_served_then_refused() -> None:
    with scripted_process(LAME_DUCK_SECONDS="3", LOG_LEVEL="warning") as server:
        await assert_streams_finish_under_sigterm(*server)


async def assert_streams_finish_under_sigterm(process: "Popen[str]", url: str) -> None:
    streams = [Stream(url, "slow") for _ in range(10)]
    async with httpx2.AsyncClient(base_url=url) as http:
        await asyncio.gather(*(stream.begun.wait() for stream in streams))
        assert (await http.get("/readyz")).status_code == 200
        process.send_signal(signal.SIGTERM)
        await not_ready(http)
        assert (await http.get("/livez")).status_code == 200
        assert "llm_ready 0.0" in (await http.get("/metrics")).text.splitlines()
        assert (await http.post(CHAT, json=chat_body())).status_code == 200
        while (refused := await http.post(CHAT, json=chat_body())).status_code == 200:
            pass
        assert refused.status_code == 503
        assert refused.headers["connection"] == "close"
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["error"]["code"] == "service_unavailable"
    assert await asyncio.gather(*(stream.done for stream in streams)) == [60] * 10
    assert await asyncio.to_thread(process.wait, 20) == 0


def test_an_idle_server_exits_after_its_lame_duck(server: Server) -> None:
    process, url = server
    with httpx2.Client(base_url=url) as kept_alive:
        kept_alive.get("/v1/models")
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert time.monotonic() - started > 1


async def test_a_second_signal_exits_at_once_with_an_error_for_each_client(server: Server) -> None:
    process, url = server
    stream, slow_head = Stream(url, "forever"), f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
    async with httpx2.AsyncClient(base_url=url, timeout=10) as http:
        plain = asyncio.create_task(http.post(CHAT, json=chat_body("forever")))
        reader, writer = await asyncio.open_connection(http.base_url.host, http.base_url.port)
        writer.write(f"{slow_head}Content-Length: 9\r\n\r\n".encode())
        await stream.begun.wait()
        await asyncio.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        await not_ready(http)
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 20) == 128 + signal.SIGINT
        with pytest.raises(APIError, match="shutting down"):
            await stream.done
        answer = await plain
        assert (answer.status_code, answer.headers["connection"]) == (503, "close")
        assert answer.json()["error"]["code"] == "service_unavailable"
        unread = await reader.read()
        assert unread.startswith(b"HTTP/1.1 503") and b"service_unavailable" in unread
        writer.close()
    log = process.communicate()[1]
    assert [json.loads(line)["event"] for line in log.splitlines()] == ["leaving at once"]


def test_a_second_signal_does_not_wait_for_a_client_that_does_not_read(server: Server) -> None:
    process, url = server
    address = httpx2.URL(url)
    with socket.create_connection((address.host, address.port or 0)) as connection:
        body = json.dumps(chat_body("flood", stream=True))
        head = f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM
    assert "Traceback" not in process.communicate()[1]


async def test_a_second_signal_hurries_the_connections() -> None:
    service, lifecycle = ScriptedService(), Lifecycle()
    await service.start()
    shutdown = Shutdown(Settings(lame_duck_seconds=60), service, lifecycle)
    shutdown.take_signal(signal.SIGTERM)
    shutdown.take_signal(signal.SIGTERM)
    assert await shutdown.wait() == 128 + signal.SIGTERM
    assert shutdown.hurried


async def test_the_drain_timeout_sends_an_error_to_the_requests_it_cuts() -> None:
    service, lifecycle = ScriptedService("loading"), Lifecycle()
    await service.start()
    shutdown = Shutdown(Settings(drain_timeout=0.1), service, lifecycle)

    async def request() -> None:
        cutoff = Cutoff(lifecycle, 60, GenerationTimeout("too long"))
        with lifecycle.serving():
            async with cutoff.armed():
                await asyncio.Event().wait()

    running = asyncio.create_task(request())
    await asyncio.sleep(0)
    shutdown.take_signal(signal.SIGTERM)
    assert await shutdown.wait() == 0
    with pytest.raises(Unavailable, match="shutting down"):
        await running
    with pytest.raises(Unavailable):  # also a request that was between two parts that can be cut
        await request()


async def test_a_request_timeout_ends_a_request_during_the_drain() -> None:
    with scripted_process(LAME_DUCK_SECONDS="0", DRAIN_TIMEOUT="1", REQUEST_TIMEOUT="1") as (process, url):
        stream = Stream(url, "forever")
        await stream.begun.wait()
        process.send_signal(signal.SIGTERM)
        with pytest.raises(APIError, match="longer than 1 seconds"):
            await stream.done
        assert await asyncio.to_thread(process.wait, 20) == 0


def test_a_drain_does_not_wait_for_a_body_longer_than_its_timeout() -> None:
    with scripted_process(LAME_DUCK_SECONDS="0", DRAIN_TIMEOUT="0.5", REQUEST_TIMEOUT="0.5") as (process, url):
        address = httpx2.URL(url)
        with socket.create_connection((address.host, address.port or 0)) as connection:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 100")
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert time.monotonic() - started >= 0.5


@pytest.mark.parametrize(("phase", "lame_duck"), [("ready", 0.1), ("loading", 0)])
async def test_only_a_ready_server_has_a_lame_duck(phase: ServicePhase, lame_duck: float) -> None:
    service, lifecycle = ScriptedService(phase), Lifecycle()
    await service.start()
    with capture_logs() as logs:
        shutdown = Shutdown(Settings(lame_duck_seconds=0.1), service, lifecycle)
        shutdown.take_signal(signal.SIGTERM)
        assert await shutdown.wait() == 0
    assert logs[0]["lame_duck_seconds"] == lame_duck
    assert lifecycle.draining


def test_ctrl_c_in_a_terminal_has_no_lame_duck() -> None:
    terminal, stderr = os.openpty()
    process = start_process({"LAME_DUCK_SECONDS": "30"}, stderr)
    assert process.stdout
    assert process.stdout.readline().startswith("http://127.0.0.1:")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    for descriptor in (terminal, stderr):
        os.close(descriptor)
