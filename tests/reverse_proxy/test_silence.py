"""Scenarios 10 and 11 of docs/proxy.md. Both are mostly waiting, so they run at the same time."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest
from reverse_proxy.conftest import FIRST_PORT
from reverse_proxy.machine import KEPT, NO_RETRIES, RETRIES, Machine

SILENT_SECONDS = 90
IDLE_CLIENTS = 40
GAPS = (58, 61, 74, 77)  # seconds, each for a quarter of the clients: around nginx's default of 60 and the service's 75
SHORT_KEEP_ALIVE = 1
CONTROL_CLIENTS = 32
CONTROL_SECONDS = 100


@dataclass
class Result:
    silent: list[str] = field(default_factory=list)  # lines of the silent stream
    impatient: str = ""  # last line, for a client whose idle limit is below the 15 s between comments
    idle: Counter[str] = field(default_factory=Counter)
    control: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def one_replica() -> Iterator[Machine]:
    """One replica that may hang for 600 s, behind an nginx that keeps connections to it for longer than the replica does."""
    machine = Machine(FIRST_PORT + 80, REPLICAS="1", ENGINE_STALL_TIMEOUT="600", KEEP_ALIVE_TIMEOUT=str(SHORT_KEEP_ALIVE))
    try:
        machine.run("up")
        with machine.edited((RETRIES, NO_RETRIES), *KEPT):
            yield machine
    finally:
        machine.remove()


@pytest.fixture(scope="module")
def result(machine: Machine, one_replica: Machine) -> Result:
    result = Result()

    async def all_at_once() -> None:
        await asyncio.gather(fall_silent(one_replica, result), idle(machine, result.idle), race(one_replica, result.control))

    asyncio.run(all_at_once())
    print(f"{sum(line.startswith(':') for line in result.silent)} comments in the silence; idle connections: {dict(result.idle)}")
    print(f"connections that nginx keeps and the replica closes first, without the retry: {dict(result.control)}")
    return result


async def fall_silent(machine: Machine, result: Result) -> None:
    """Two streams whose engine is suspended after the first token and resumed 90 s later."""
    engine, begun = machine.engine("replica-1"), asyncio.Event()
    streams = asyncio.gather(stream(machine, 30, begun), stream(machine, 5, asyncio.Event()))
    await begun.wait()
    engine.suspend()
    await asyncio.sleep(SILENT_SECONDS)
    engine.resume()
    result.silent, impatient = await streams
    result.impatient = impatient[-1]


async def stream(machine: Machine, idle_limit: float, begun: asyncio.Event) -> list[str]:
    message = {"role": "user", "content": "Tell me a long story."}
    body = {"model": "SmolLM2-135M-Instruct", "messages": [message], "max_tokens": 300, "stream": True, "ignore_eos": True}
    lines: list[str] = []
    try:
        async with (
            machine.async_client(timeout=httpx2.Timeout(60, read=idle_limit)) as client,
            client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            async for line in response.aiter_lines():
                lines += [line] if line else []
                begun.set()
    except httpx2.ReadTimeout:
        lines.append("timeout")
    return lines


async def idle(machine: Machine, counted: Counter[str]) -> None:
    """Connections that are used, then idle for about the time limit of either side, then used again."""

    async def use(gap: int) -> None:
        async with machine.async_client(limits=httpx2.Limits(keepalive_expiry=None)) as client:
            counted[str((await client.get("/v1/models")).status_code)] += 1
            await asyncio.sleep(gap)
            counted[str((await client.get("/v1/models")).status_code)] += 1

    await asyncio.gather(*(use(GAPS[number % len(GAPS)]) for number in range(IDLE_CLIENTS)))


async def race(machine: Machine, counted: Counter[str]) -> None:
    """The control: requests that use a connection at the moment at which the replica closes it."""
    ends = time.monotonic() + CONTROL_SECONDS

    async def use(number: int) -> None:
        async with machine.async_client() as client:
            while time.monotonic() < ends and not counted["502"] + counted["503"]:
                counted[str((await client.get("/v1/models", headers={"authorization": "none"})).status_code)] += 1
                await asyncio.sleep(SHORT_KEEP_ALIVE - 0.004 + 0.0005 * (number % 16))

    await asyncio.gather(*(use(number) for number in range(CONTROL_CLIENTS)))


@pytest.mark.timeout(900)
def test_comments_keep_a_stream_that_is_silent_for_90_seconds(result: Result) -> None:
    assert result.silent[-1] == "data: [DONE]"
    assert sum(line.startswith(":") for line in result.silent) >= SILENT_SECONDS // 15 - 1


def test_a_client_with_an_idle_limit_below_the_comments_interval_times_out(result: Result) -> None:
    assert result.impatient == "timeout"


def test_idle_connections_are_reused_without_an_error(result: Result) -> None:
    assert result.idle == {"200": 2 * IDLE_CLIENTS}


def test_idle_connections_that_the_replica_closes_first_fail_if_nginx_keeps_them(result: Result) -> None:
    assert result.control["502"] + result.control["503"] > 0
