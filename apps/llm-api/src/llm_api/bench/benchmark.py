"""Measures our service and its peers under the same load."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from llm_api.bench.exchange import Target
from llm_api.bench.load import Load, Run, interleaved_rounds
from llm_api.bench.machine import cpu_busy, describe_machine, describe_software
from llm_api.bench.own_server import footprint_of, own_server
from llm_api.bench.probe import probe
from llm_api.bench.prompts import Prompts
from llm_api.bench.report import Report
from llm_api.bench.scenarios import Scenario, measure_scenario


async def benchmark(
    own: Target | None,
    peers: Sequence[Target],
    loads: Sequence[Load],
    scenarios: Sequence[Scenario],
    rounds: int,
    seed: int,
    progress: Callable[[str], None],
) -> Report:
    """`own` is our service; None starts one for as long as the benchmark runs. Raises BenchError."""
    async with AsyncExitStack() as stack:
        started = None
        if own is None:
            started = await stack.enter_async_context(own_server(Path("build/bench-server.log")))
            own = started.target
        prompts = Prompts(seed)
        servers = [await probe(target, prompts) for target in (own, *peers)]
        busy = cpu_busy()
        runs = await interleaved_rounds(servers, loads, rounds, prompts, lambda run: progress(_line(run)))
        footprint = footprint_of(started) if started else None
        sections = [await measure_scenario(scenario, servers, rounds, prompts, progress) for scenario in scenarios]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Report(now, describe_machine(), describe_software(), busy, rounds, seed, loads, servers, runs, sections, footprint)


def _line(run: Run) -> str:
    failed = len(run.samples) - len(run.answered)
    trouble = f", {failed} failed" if failed else ""
    return f"round {run.round}  {run.concurrency:3} clients  {run.server:16} {run.tokens_per_second:8.1f} tokens/s{trouble}"
