"""Scenarios besides the closed loop: requests that share a prefix, and a long prompt among running streams."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from llm_api.bench.exchange import BenchError
from llm_api.bench.load import ask, turns
from llm_api.bench.probe import Server
from llm_api.bench.prompts import Prompts
from llm_api.bench.report import Section
from llm_api.bench.sample import Sample, read_sample
from llm_api.markdown import table

SYSTEM_TOKENS = 1000  # about
FOLLOWERS = 5
FOLLOWER_MAX_TOKENS = 8
STREAMS = 8
STREAM_TOKENS = 400
LONG_TOKENS = 4000  # about
HEAD_START = 2.0  # seconds that the streams run before the long prompt arrives


@dataclass(frozen=True, slots=True)
class ScenarioRun:
    """One scenario on one server in one round."""

    server: str
    round: int

    @property
    def samples(self) -> list[Sample]:
        """All its requests; the scenario's main one is the first."""
        raise NotImplementedError

    @property
    def failure(self) -> str | None:
        failures = (sample.failure or (None if sample.first_token else "no text came") for sample in self.samples)
        return next((failure for failure in failures if failure), None)


@dataclass(frozen=True, slots=True)
class PrefixRun(ScenarioRun):
    first: Sample
    followers: list[Sample]

    @property
    def samples(self) -> list[Sample]:
        return [self.first, *self.followers]


@dataclass(frozen=True, slots=True)
class MixedRun(ScenarioRun):
    long: Sample
    streams: list[Sample]

    @property
    def samples(self) -> list[Sample]:
        return [self.long, *self.streams]

    def longest_pause(self, *, disturbed: bool) -> float:
        """Seconds between two pieces of a stream, while the long prompt is prefilled (`disturbed`) or before and after."""
        begin, end = self.long.sent, self.long.sent + (self.long.first_token or 0)
        pauses = [0.0]
        for stream in self.streams:
            at = stream.sent + (stream.first_token or 0)
            for gap in stream.gaps:
                if (at + gap > begin and at < end) == disturbed and (disturbed or at > begin):
                    pauses.append(gap)
                at += gap
        return max(pauses)


@dataclass(frozen=True, slots=True)
class Scenario:
    title: str
    introduction: str
    columns: tuple[str, ...]
    measure: Callable[[Server, Prompts, int], Awaitable[ScenarioRun]]
    cells: Callable[[Sequence[Any]], list[str]]  # the text of `columns`, for the runs of one server that did not fail

    def section(self, runs: Sequence[ScenarioRun]) -> Section:
        rows = []
        for server in dict.fromkeys(run.server for run in runs):
            own = [run for run in runs if run.server == server]
            good = [run for run in own if run.failure is None]
            tokens = str(good[0].samples[0].prompt_tokens or "") if good else ""
            rows.append([server, tokens, *self.cells(good), str(len(own) - len(good))])
        text = f"{self.introduction} Milliseconds, medians over the rounds (lowest to highest)."
        return Section(self.title, f"{text}\n\n{table(['server', 'tokens in', *self.columns, 'failed'], rows)}", runs)


async def shared_prefix(server: Server, prompts: Prompts, round_number: int) -> PrefixRun:
    """One request after the other. The system prompt is new in each round, so that no cache has it for the first request."""
    system = prompts.passage(SYSTEM_TOKENS)
    samples = []
    for _ in range(1 + FOLLOWERS):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompts.passage(30)}]
        samples.append(read_sample(await ask(server, messages, FOLLOWER_MAX_TOKENS)))
    return PrefixRun(server.name, round_number, samples[0], samples[1:])


def _prefix_cells(runs: Sequence[PrefixRun]) -> list[str]:
    first = [run.first.first_token or 0 for run in runs]
    later = [median(sample.first_token or 0 for sample in run.followers) for run in runs]
    ratios = [a / b for a, b in zip(first, later, strict=True)]
    return [_milliseconds(first), _milliseconds(later), f"{median(ratios):.1f}" if ratios else ""]


async def mixed_load(server: Server, prompts: Prompts, round_number: int) -> MixedRun:
    """A long prompt arrives while streams run."""
    streams = [asyncio.create_task(ask(server, prompts.next(), STREAM_TOKENS)) for _ in range(STREAMS)]
    await asyncio.sleep(HEAD_START)
    long = await ask(server, [{"role": "user", "content": prompts.passage(LONG_TOKENS)}], 2)
    answers = await asyncio.gather(*streams)
    return MixedRun(server.name, round_number, read_sample(long), [read_sample(answer) for answer in answers])


def _mixed_cells(runs: Sequence[MixedRun]) -> list[str]:
    return [
        _milliseconds([run.longest_pause(disturbed=True) for run in runs]),
        _milliseconds([run.longest_pause(disturbed=False) for run in runs]),
        _milliseconds([run.long.first_token or 0 for run in runs]),
    ]


SCENARIOS = {
    "prefix": Scenario(
        title="A shared system prompt",
        introduction=f"Requests one after the other with the same system prompt of about {SYSTEM_TOKENS} tokens, which no cache has "
        f"before the first; {FOLLOWERS} more follow it in each round.",
        columns=("TTFT of the first", "TTFT of later ones", "times as fast"),
        measure=shared_prefix,
        cells=_prefix_cells,
    ),
    "mixed": Scenario(
        title="A long prompt among streams",
        introduction=f"One prompt of about {LONG_TOKENS} tokens arrives while {STREAMS} streams run. The longest time between two "
        "pieces of any stream until the prompt's first token, and after it.",
        columns=("longest pause of a stream", "after the prompt", "TTFT of the prompt"),
        measure=mixed_load,
        cells=_mixed_cells,
    ),
}


def named(text: str) -> list[Scenario]:
    """The scenarios of a comma-separated list. Raises BenchError for an unknown name."""
    names = [name for name in text.split(",") if name]
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise BenchError(f"--also is {text!r}, but {unknown[0]!r} is not a scenario: use {', '.join(SCENARIOS)}, separated by commas")
    return [SCENARIOS[name] for name in names]


async def measure_scenario(
    scenario: Scenario, servers: Sequence[Server], rounds: int, prompts: Prompts, progress: Callable[[str], None]
) -> Section:
    """Counts failures instead of raising: a server that cannot take a long prompt is still compared in the other scenarios."""
    runs = []
    for round_number in range(1, rounds + 1):
        for server in turns(servers, round_number):
            runs.append(await scenario.measure(server, prompts, round_number))
            progress(f"round {round_number}  {scenario.title:28} {server.name:16} {runs[-1].failure or ''}")
    return scenario.section(runs)


def _milliseconds(seconds: Sequence[float]) -> str:
    """Median (lowest to highest)."""
    if not seconds:
        return ""
    values = [1000 * value for value in seconds]
    if len(values) == 1:
        return f"{values[0]:.0f}"
    return f"{median(values):.0f} ({min(values):.0f} to {max(values):.0f})"
