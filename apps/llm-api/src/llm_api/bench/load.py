"""A closed loop: so many clients, each sending its next request as soon as the last one is answered."""

import asyncio
from dataclasses import dataclass

from llm_api.bench.exchange import Exchange, exchange
from llm_api.bench.probe import Server
from llm_api.bench.prompts import Message, Prompts
from llm_api.bench.sample import Sample, read_sample


@dataclass(frozen=True, slots=True)
class Run:
    server: str
    round: int
    concurrency: int
    samples: list[Sample]

    @property
    def answered(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.failure is None]

    @property
    def tokens_per_second(self) -> float:
        seconds = max(sample.ended for sample in self.samples) - min(sample.sent for sample in self.samples)
        return sum(sample.completion_tokens for sample in self.answered) / seconds


@dataclass(frozen=True, slots=True)
class Load:
    concurrency: int
    requests_per_client: int
    max_tokens: int
    seconds_per_request: float = 300


async def closed_loop(server: Server, load: Load, prompts: Prompts, round_number: int) -> Run:
    waiting = [prompts.next() for _ in range(load.concurrency * load.requests_per_client)]
    answers: list[Exchange] = []

    async def client() -> None:
        while waiting:
            answers.append(await ask(server, waiting.pop(), load.max_tokens, load.seconds_per_request))

    await asyncio.gather(*(client() for _ in range(load.concurrency)))
    return Run(server.name, round_number, load.concurrency, [read_sample(answer) for answer in answers])


async def ask(server: Server, messages: list[Message], max_tokens: int, seconds: float = 300) -> Exchange:
    """One streamed chat completion, not yet read."""
    return await exchange(server.target, "POST", "/v1/chat/completions", server.body(messages, max_tokens), seconds)
