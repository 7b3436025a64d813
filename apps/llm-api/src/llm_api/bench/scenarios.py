"""What can be measured besides the closed loop, by name."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llm_api.bench import mixed_load, shared_prefix
from llm_api.bench.probe import Server
from llm_api.bench.prompts import Prompts
from llm_api.bench.rounds import interleaved
from llm_api.bench.section import Section
from llm_api.bench.target import BenchError


@dataclass(frozen=True, slots=True)
class Scenario:
    measure: Callable[[Server, Prompts, int], Awaitable[Any]]
    section: Callable[[list[Any]], Section]


SCENARIOS = {
    "prefix": Scenario(shared_prefix.shared_prefix, shared_prefix.section),
    "mixed": Scenario(mixed_load.mixed_load, mixed_load.section),
}


def named(text: str) -> list[Scenario]:
    """Raises BenchError for a name that is none."""
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise BenchError(f"--also is {text!r}, and {unknown[0]!r} is no scenario: write any of {', '.join(SCENARIOS)}, separated by commas")
    return [SCENARIOS[name] for name in names]


async def measure_scenario(
    scenario: Scenario, servers: Sequence[Server], rounds: int, prompts: Prompts, progress: Callable[[str], None]
) -> Section:
    """Failures are counted, not raised: a server that cannot take a long prompt is still compared in the rest."""
    runs = []
    for round_number, server in interleaved(servers, rounds):
        runs.append(await scenario.measure(server, prompts, round_number))
        result = scenario.section(runs[-1:])
        progress(f"round {round_number}  {result.title:28} {server.name:16} {runs[-1].failure or ''}")
    return scenario.section(runs)
