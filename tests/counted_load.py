"""A load that counts lost requests: no retries, kept connections, every stream read to its [DONE]."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

import httpx2

CLIENTS = 8
STREAMS = 10
REQUESTS = 300
STREAM_TOKENS = range(150, 150 + 20 * STREAMS, 20)  # max_tokens of each stream and its successors: not all streams end at once
PAUSE = 0.2  # seconds after a loss
MODEL = "SmolLM2-135M-Instruct"


@dataclass
class Outcome:
    """`lost`: lost requests and streams, by the error that the client saw. `broken_streams`: the request ids of lost streams."""

    answered: int = 0
    streams: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    broken_streams: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        return self.answered + self.streams + self.lost.total()

    @property
    def lost_requests(self) -> int:
        """Lost requests without the streams that had begun."""
        return self.lost.total() - len(self.broken_streams)

    def __str__(self) -> str:
        return f"{self.answered} responses and {self.streams} complete streams, {self.lost.total()} lost {dict(self.lost)}"


class Load:
    def __init__(
        self, url: str, *, verify: ssl.SSLContext | bool = True, key: str | None = None, first_loss_is_enough: bool = False
    ) -> None:
        """`first_loss_is_enough`: end the load at the first lost request, for a negative control."""
        self.outcome = Outcome()
        self._url = url
        self._verify = verify
        self._headers = {"authorization": f"Bearer {key}"} if key else {}
        self._first_loss_is_enough = first_loss_is_enough
        self._numbers = count()

    async def around(self, event: Callable[[], None]) -> Outcome:
        """Runs `event` in a thread, with ten streams open all the time. The load ends once the event is over and 300 requests were sent."""
        opened, over = asyncio.Semaphore(0), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for tokens in STREAM_TOKENS:
                tasks.create_task(self._stream_until(over, opened, tokens))
            for _ in STREAM_TOKENS:
                await opened.acquire()
            happening = tasks.create_task(asyncio.to_thread(event))
            happening.add_done_callback(lambda _: over.set())
            for _ in range(CLIENTS):
                tasks.create_task(self._ask_until(over))
        print(self.outcome)
        return self.outcome

    async def _stream_until(self, over: asyncio.Event, opened: asyncio.Semaphore, tokens: int) -> None:
        while not (over.is_set() or self._has_seen_enough):
            await self._counted(lambda: self._stream(opened, tokens))

    async def _ask_until(self, over: asyncio.Event) -> None:
        async with self._client() as client:
            while not ((over.is_set() and self._has_sent_enough) or self._has_seen_enough):
                await self._counted(lambda: self._ask(client))

    @property
    def _has_sent_enough(self) -> bool:
        return self.outcome.answered + self.outcome.lost_requests >= REQUESTS

    @property
    def _has_seen_enough(self) -> bool:
        return self._first_loss_is_enough and self.outcome.lost_requests > 0

    async def _counted(self, attempt: Callable[[], Awaitable[None]]) -> None:
        try:
            await attempt()
        except (httpx2.HTTPError, ConnectionError) as error:
            self.outcome.lost[f"{type(error).__name__}"] += 1
            await asyncio.sleep(PAUSE)

    async def _ask(self, client: httpx2.AsyncClient) -> None:
        response = await client.post("/v1/chat/completions", json=self._body(8, stream=False))
        if response.status_code == 200 and response.json()["choices"][0]["finish_reason"] in {"length", "stop"}:
            self.outcome.answered += 1
        else:
            self.outcome.lost[f"status {response.status_code}"] += 1
            await asyncio.sleep(PAUSE)

    async def _stream(self, opened: asyncio.Semaphore, tokens: int) -> None:
        last, body, name = "", self._body(tokens, stream=True), f"stream-{next(self._numbers)}"
        headers = {"x-request-id": name}
        try:
            async with self._client() as client, client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
                async for line in response.aiter_lines():
                    if line and not last:
                        opened.release()
                    last = line or last
        finally:
            if not last:
                opened.release()
            if last != "data: [DONE]":
                self.outcome.broken_streams.append(name)
        if last == "data: [DONE]":
            self.outcome.streams += 1
        else:
            self.outcome.lost["stream with an error event" if last.startswith('data: {"error"') else "stream without [DONE]"] += 1

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self._url, timeout=120, verify=self._verify, headers=self._headers)

    def _body(self, max_tokens: int, *, stream: bool) -> dict[str, object]:
        question = {"role": "user", "content": f"Question {next(self._numbers)}: what is a pod?"}
        return {"model": MODEL, "messages": [question], "max_tokens": max_tokens, "stream": stream, "ignore_eos": True}
