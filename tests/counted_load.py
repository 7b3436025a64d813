"""Load that counts what is lost: no retries, connections kept alive, every stream read to its [DONE]."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

import httpx2

CLIENTS = 8
STREAMS = 10
REQUESTS = 300
MODEL = "SmolLM2-135M-Instruct"


@dataclass
class Outcome:
    answered: int = 0
    streams: int = 0
    lost: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return f"{self.answered} answers and {self.streams} whole streams, {self.lost.total()} lost {dict(self.lost)}"


class Load:
    def __init__(self, url: str) -> None:
        self.outcome = Outcome()
        self._url = url
        self._numbers = count()

    async def around(self, event: Callable[[], None]) -> Outcome:
        """Runs `event` in a thread, ten streams open at each moment of it; ends once it is over and 300 requests were sent."""
        opened, over = asyncio.Semaphore(0), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for number in range(STREAMS):
                tasks.create_task(self._stream_until(over, opened, 150 + 20 * number))
            for _ in range(STREAMS):
                await opened.acquire()
            happening = tasks.create_task(asyncio.to_thread(event))
            happening.add_done_callback(lambda _: over.set())
            for _ in range(CLIENTS):
                tasks.create_task(self._ask_until(over))
        print(self.outcome)
        return self.outcome

    async def _stream_until(self, over: asyncio.Event, opened: asyncio.Semaphore, tokens: int) -> None:
        """One stream after another; of different lengths, so that they do not all end at once."""
        while not over.is_set():
            await self._counted(lambda: self._stream(opened, tokens))

    async def _ask_until(self, over: asyncio.Event) -> None:
        async with self._client() as client:
            while not over.is_set() or self.outcome.answered + self.outcome.lost.total() < REQUESTS:
                await self._counted(lambda: self._ask(client))

    async def _counted(self, attempt: Callable[[], Awaitable[None]]) -> None:
        try:
            await attempt()
        except (httpx2.HTTPError, ConnectionError) as error:
            self.outcome.lost[f"{type(error).__name__}"] += 1
            await asyncio.sleep(0.2)

    async def _ask(self, client: httpx2.AsyncClient) -> None:
        response = await client.post("/v1/chat/completions", json=self._body(8, stream=False))
        if response.status_code == 200 and response.json()["choices"][0]["finish_reason"] in {"length", "stop"}:
            self.outcome.answered += 1
        else:
            self.outcome.lost[f"status {response.status_code}"] += 1

    async def _stream(self, opened: asyncio.Semaphore, tokens: int) -> None:
        last, body = "", self._body(tokens, stream=True)
        try:
            async with self._client() as client, client.stream("POST", "/v1/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line and not last:
                        opened.release()
                    last = line or last
        finally:
            if not last:
                opened.release()
        if last == "data: [DONE]":
            self.outcome.streams += 1
        else:
            self.outcome.lost["stream without its end"] += 1

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self._url, timeout=120)

    def _body(self, max_tokens: int, *, stream: bool) -> dict[str, object]:
        question = {"role": "user", "content": f"Question {next(self._numbers)}: what is a pod?"}
        return {"model": MODEL, "messages": [question], "max_tokens": max_tokens, "stream": stream, "ignore_eos": True}
