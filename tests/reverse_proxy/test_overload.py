"""Scenario 7 of docs/proxy.md: four times more clients than the replicas admit."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from statistics import median, quantiles

import httpx2
import psutil
import pytest
from counted_load import REQUESTS
from reverse_proxy.conftest import FIRST_PORT
from reverse_proxy.machine import REPLICAS, Machine

PLACES = REPLICAS * (2 + 2)
CLIENTS = 4 * PLACES
AT_CAPACITY = 90  # requests without overload, for comparison
LIMITS = {"MAX_NUM_SEQS": "2", "MAX_QUEUED_REQUESTS": "2", "REQUESTS_PER_SECOND": "1000"}  # the replicas refuse, not nginx


@pytest.fixture(scope="module")
def small() -> Iterator[Machine]:
    """Replicas without API keys that admit few requests."""
    machine = Machine(FIRST_PORT + 40, **LIMITS)
    try:
        machine.run("up")
        yield machine
    finally:
        machine.remove()


@dataclass
class Crowd:
    machine: Machine
    clients: int
    requests: int
    first_tokens: list[float] = field(default_factory=list)
    refused: int = 0
    other: Counter[str] = field(default_factory=Counter)
    memory: list[int] = field(default_factory=list)

    async def run(self) -> None:
        limits = httpx2.Limits(max_connections=self.clients)
        async with self.machine.async_client(limits=limits) as client, asyncio.TaskGroup() as tasks:
            for number in range(self.clients):
                tasks.create_task(self._ask(client, number))

    async def _ask(self, client: httpx2.AsyncClient, number: int) -> None:
        message = {"role": "user", "content": f"Client {number}: what is a pod?"}
        body = {"model": "SmolLM2-135M-Instruct", "messages": [message], "max_tokens": 8, "stream": True, "ignore_eos": True}
        while len(self.first_tokens) < self.requests:
            asked = time.monotonic()
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code == 200:
                    lines = [line async for line in self._timed(response, asked)]
                    self.other["a stream without [DONE]"] += lines[-1] != "data: [DONE]"
                elif response.status_code == 429 and int(response.headers["retry-after"]) > 0:
                    self.refused += (await self._error(response))["code"] == "rate_limit_exceeded"
                    await asyncio.sleep(1)
                else:
                    self.other[str(response.status_code)] += 1

    async def _timed(self, response: httpx2.Response, asked: float) -> AsyncIterator[str]:
        first = True
        async for line in response.aiter_lines():
            if line and first:
                self.first_tokens.append(time.monotonic() - asked)
                first = False
                if len(self.first_tokens) % (self.requests // 3) == 0:
                    self.memory.append(memory_of(self.machine))
            if line:
                yield line

    async def _error(self, response: httpx2.Response) -> dict[str, str]:
        await response.aread()
        error: dict[str, str] = response.json()["error"]
        return error


def memory_of(machine: Machine) -> int:
    """Resident memory of nginx, the replicas and their engines, in bytes."""
    names = ["nginx", *(f"replica-{number}" for number in range(1, REPLICAS + 1))]
    roots = [psutil.Process(machine.pid(name)) for name in names]
    return sum(process.memory_info().rss for root in roots for process in (root, *root.children(recursive=True)))


async def test_excess_requests_are_refused_and_admitted_ones_are_served_as_fast_as_without_overload(small: Machine) -> None:
    """Without the limit, four times more clients would wait four times longer."""
    full, crowd = Crowd(small, PLACES, AT_CAPACITY), Crowd(small, CLIENTS, REQUESTS)
    await full.run()
    await crowd.run()
    *_, p99 = quantiles(crowd.first_tokens, n=100)
    print(
        f"{CLIENTS} clients for {PLACES} places: {len(crowd.first_tokens)} answered, {crowd.refused} refused, other: {dict(+crowd.other)}"
    )
    print(f"first token: median {median(crowd.first_tokens):.2f} s, p99 {p99:.2f} s; without overload {median(full.first_tokens):.2f} s")
    print(f"memory in MiB: {[size // 2**20 for size in crowd.memory]}")
    assert not +crowd.other
    assert crowd.refused > 0
    assert median(crowd.first_tokens) < 2 * median(full.first_tokens) + 0.5
    assert crowd.memory[-1] < 1.05 * crowd.memory[0]


def test_the_list_of_models_is_cached_if_no_key_is_needed(small: Machine) -> None:
    with small.client() as client:
        for name in ("open-1", "open-2"):
            assert client.get("/v1/models", headers={"x-request-id": name}).status_code == 200
    assert small.logged("open-2")["cache"] == "HIT"
