"""Scenarios 10 and 11 of docs/proxy.md, at the same time, as both are mostly waiting."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx2
import pytest
from reverse_proxy.conftest import FIRST_PORT
from reverse_proxy.machine import KEPT, NO_RETRIES, RETRIES, Machine

SILENT_SECONDS = 90
IDLE_MINUTES = 3
IDLE_CLIENTS = 40
GAPS = (58, 61, 74, 77)  # seconds: around nginx's 60 and the service's 75
SHORT_KEEP_ALIVE = 1
CONTROL_CLIENTS = 32
CONTROL_SECONDS = 100


@dataclass
class Result:
    silent: list[str] = field(default_factory=list)  # lines of the stream that was silent
    impatient: str = ""  # what a client saw that waits for less than the comments' 15 s
    idle: Counter[str] = field(default_factory=Counter)
    control: Counter[str] = field(default_factory=Counter)


@pytest.fixture(scope="module")
def quiet() -> Iterator[Machine]:
    """One replica that may hang for long, behind an nginx that keeps connections to it for longer than the replica does."""
    machine = Machine(FIRST_PORT + 80, REPLICAS="1", ENGINE_STALL_TIMEOUT="600", KEEP_ALIVE_TIMEOUT=str(SHORT_KEEP_ALIVE))
    try:
        machine.run("up")
        with machine.edited((RETRIES, NO_RETRIES), *KEPT):
            yield machine
    finally:
        machine.remove()


@pytest.fixture(scope="module")
def result(machine: Machine, quiet: Machine) -> Result:
    result = Result()

    async def all_at_once() -> None:
        await asyncio.gather(fall_silent(quiet, result), idle(machine, result.idle), race(quiet, result.control))

    asyncio.run(all_at_once())
    print(f"{sum(line.startswith(':') for line in result.silent)} comments in the silence; idle connections: {dict(result.idle)}")
    print(f"connections that nginx keeps and the replica closes first, without the retry: {dict(result.control)}")
    return result


async def fall_silent(machine: Machine, result: Result) -> None:
    """Two streams whose engine stops after the first token, and goes on after 90 s."""
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
    """Connections that are used, left alone for as long as either side might keep them, and used again."""
    ends = time.monotonic() + IDLE_MINUTES * 60

    async def use(first_gap: int) -> None:
        limits = httpx2.Limits(keepalive_expiry=None)
        async with machine.async_client(limits=limits) as client:
            for gap in itertools.islice(itertools.cycle(GAPS), first_gap, None):
                counted[str((await client.get("/v1/models")).status_code)] += 1
                if time.monotonic() + gap > ends:
                    return
                await asyncio.sleep(gap)

    await asyncio.gather(*(use(number % len(GAPS)) for number in range(IDLE_CLIENTS)))


async def race(machine: Machine, counted: Counter[str]) -> None:
    """The control: requests that meet connections in the moment in which the replica closes them."""
    ends = time.monotonic() + CONTROL_SECONDS

    async def use(number: int) -> None:
        async with machine.async_client() as client:
            while time.monotonic() < ends and not counted["502"] + counted["503"]:
                counted[str((await client.get("/v1/models", headers={"authorization": "none"})).status_code)] += 1
                await asyncio.sleep(SHORT_KEEP_ALIVE - 0.004 + 0.0005 * (number % 16))

    await asyncio.gather(*(use(number) for number in range(CONTROL_CLIENTS)))


@pytest.mark.timeout(900)
def test_a_stream_that_is_silent_for_90_seconds_survives_by_its_comments(result: Result) -> None:
    assert result.silent[-1] == "data: [DONE]"
    assert sum(line.startswith(":") for line in result.silent) >= SILENT_SECONDS // 15 - 1


def test_a_client_that_waits_for_less_than_the_comments_does_not(result: Result) -> None:
    assert result.impatient == "timeout"


def test_idle_connections_are_used_again_without_an_error(result: Result) -> None:
    assert set(result.idle) == {"200"}
    assert result.idle.total() > 2 * IDLE_CLIENTS


def test_idle_connections_that_the_replica_closes_first_fail_where_nginx_keeps_them(result: Result) -> None:
    assert result.control["502"] + result.control["503"] > 0
