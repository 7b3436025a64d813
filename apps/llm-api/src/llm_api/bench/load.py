"""The load: a closed loop, in which each client sends its next request as soon as the last one is answered, in interleaved rounds."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_api.bench.exchange import BenchError, Exchange, exchange
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
    """One streamed chat completion, not yet parsed."""
    return await exchange(server.target, "POST", "/v1/chat/completions", server.body(messages, max_tokens), seconds)


async def interleaved_rounds(
    servers: Sequence[Server], loads: Sequence[Load], rounds: int, prompts: Prompts, progress: Callable[[Run], None]
) -> list[Run]:
    """Neighbouring measurements differ only in the server, and each round begins with another server.

    Shared machines drift by tens of percent within the hour, so only figures of the same round can be compared.
    A warm-up with the largest load runs first and is not counted. Raises BenchError when a server answers no request.
    """
    for server in servers:
        warm_up = Load(max(load.concurrency for load in loads), 1, loads[0].max_tokens)
        _must_answer(await closed_loop(server, warm_up, prompts, 0))
    runs: list[Run] = []
    for round_number in range(1, rounds + 1):
        for load in loads:
            for server in turns(servers, round_number):
                runs.append(_must_answer(await closed_loop(server, load, prompts, round_number)))
                progress(runs[-1])
    return runs


def turns(servers: Sequence[Server], round_number: int) -> list[Server]:
    """The servers in the order of this round."""
    shift = (round_number - 1) % len(servers)
    return [*servers[shift:], *servers[:shift]]


def _must_answer(run: Run) -> Run:
    if not run.tokens_per_second:
        failure = next((sample.failure for sample in run.samples if sample.failure), "no tokens")
        raise BenchError(f"{run.server} answered none of {len(run.samples)} requests at concurrency {run.concurrency}: {failure}")
    return run
