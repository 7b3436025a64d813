"""Interleaves the servers: neighbouring measurements differ in the server only, and each round begins with another one.

Shared machines drift by tens of percent within the hour, so only figures of one round compare.
"""

from collections.abc import Callable, Iterator, Sequence

from llm_api.bench.load import Load, Run, closed_loop
from llm_api.bench.probe import Server
from llm_api.bench.prompts import Prompts
from llm_api.bench.target import BenchError


async def measure(
    servers: Sequence[Server], loads: Sequence[Load], rounds: int, prompts: Prompts, progress: Callable[[Run], None]
) -> list[Run]:
    """A warm-up of the largest load goes first and is not counted. Raises BenchError when a server answers nothing."""
    for server in servers:
        warm_up = Load(max(load.concurrency for load in loads), 1, loads[0].max_tokens)
        _must_answer(await closed_loop(server, warm_up, prompts, 0))
    runs: list[Run] = []
    for round_number in range(1, rounds + 1):
        for load in loads:
            for server in _turns(servers, round_number):
                runs.append(_must_answer(await closed_loop(server, load, prompts, round_number)))
                progress(runs[-1])
    return runs


def interleaved(servers: Sequence[Server], rounds: int) -> Iterator[tuple[int, Server]]:
    return ((round_number, server) for round_number in range(1, rounds + 1) for server in _turns(servers, round_number))


def _turns(servers: Sequence[Server], round_number: int) -> list[Server]:
    shift = (round_number - 1) % len(servers)
    return [*servers[shift:], *servers[:shift]]


def _must_answer(run: Run) -> Run:
    if not run.tokens_per_second:
        failure = next((sample.failure for sample in run.samples if sample.failure), "no tokens")
        raise BenchError(f"{run.server} answered none of {len(run.samples)} requests at concurrency {run.concurrency}: {failure}")
    return run
