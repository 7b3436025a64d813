"""Many requests of every kind at once: each gets its own response, and no memory leaks."""

import asyncio
import random
from collections import Counter
from typing import Any, Literal

import httpx2
import psutil
import pytest
from serving.service_process import ServiceProcess

WARM_UP_REQUESTS = 48
REQUESTS = 96
CONCURRENCY = 32
MEBIBYTE = 1024**2

Kind = Literal["short", "long", "stream", "choices", "cancelled", "bad"]
KINDS: list[Kind] = ["short", "short", "long", "stream", "stream", "choices", "cancelled", "bad"]
CHAT = "/v1/chat/completions"


def body(number: int, **fields: Any) -> dict[str, Any]:
    content = f"Request {number}: name a colour."
    return {"model": "smol", "messages": [{"role": "user", "content": content}], "ignore_eos": True, **fields}


class MixedLoad:
    def __init__(self, url: str, seed: int) -> None:
        self._client = httpx2.AsyncClient(base_url=url, timeout=120)
        self._random = random.Random(seed)
        self._places = asyncio.Semaphore(CONCURRENCY)
        self.done: Counter[Kind] = Counter()

    async def run(self, requests: int) -> None:
        kinds = [KINDS[number % len(KINDS)] for number in range(requests)]
        self._random.shuffle(kinds)
        async with self._client:
            await asyncio.gather(*(self._one(number, kind) for number, kind in enumerate(kinds)))

    async def _one(self, number: int, kind: Kind) -> None:
        async with self._places:
            await getattr(self, f"_{kind}")(number)
        self.done[kind] += 1

    async def _short(self, number: int) -> None:
        answer = await self._ask(body(number, max_tokens=4, temperature=0.8))
        assert answer["usage"]["completion_tokens"] == 4

    async def _long(self, number: int) -> None:
        question = body(number, max_tokens=8, temperature=0)
        question["messages"][0]["content"] *= self._random.randint(10, 30)
        answer = await self._ask(question)
        assert answer["usage"]["prompt_tokens"] > 80
        assert answer["choices"][0]["finish_reason"] == "length"

    async def _choices(self, number: int) -> None:
        answer = await self._ask(body(number, max_tokens=5, n=3, logprobs=True, seed=number))
        assert sorted(choice["index"] for choice in answer["choices"]) == [0, 1, 2]
        assert all(len(choice["logprobs"]["content"]) == 5 for choice in answer["choices"])

    async def _stream(self, number: int) -> None:
        events: list[str] = []
        async with self._client.stream("POST", CHAT, json=body(number, max_tokens=12, stream=True)) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    events.append(line.removeprefix("data: "))
        assert events[-1] == "[DONE]"
        assert '"finish_reason":"length"' in events[-2]

    async def _cancelled(self, number: int) -> None:
        async with self._client.stream("POST", CHAT, json=body(number, max_tokens=2000, stream=True)) as response:
            async for _line in response.aiter_lines():
                return

    async def _bad(self, number: int) -> None:
        response = await self._client.post(CHAT, json=body(number, temperature=100 + number))
        assert response.status_code == 400
        error = response.json()["error"]
        assert error["param"] == "temperature"

    async def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        response = await self._client.post(CHAT, json=question)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.mark.timeout(600)
async def test_every_request_of_a_mixed_load_gets_its_own_response_and_nothing_leaks(server: ServiceProcess) -> None:
    memory = []
    for seed, requests in enumerate((WARM_UP_REQUESTS, REQUESTS)):
        load = MixedLoad(server.url, seed)
        await load.run(requests)
        assert load.done.total() == requests
        server.wait_idle(60)
        assert server.metric("llm_kv_cache_usage_perc") == 0
        memory.append(sum(process.memory_info().rss for process in (psutil.Process(server.process.pid), server.engine)))
    # The warm-up fills buffers. Requests that kept their blocks or texts would add far more than 3%.
    assert memory[1] < 1.03 * memory[0], [size // MEBIBYTE for size in memory]
