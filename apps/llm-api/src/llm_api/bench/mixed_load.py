"""A long prompt that arrives among running streams: how long it makes them pause, and how long it waits itself."""

import asyncio
from dataclasses import dataclass

from llm_api.bench.load import ask
from llm_api.bench.probe import Server
from llm_api.bench.prompts import Prompts
from llm_api.bench.sample import Sample, read_sample
from llm_api.bench.section import Section, by_server, failure_of, milliseconds
from llm_api.markdown import table

TITLE = "A long prompt among streams"
STREAMS = 8
STREAM_TOKENS = 400
LONG_TOKENS = 4000  # about
HEAD_START = 2.0  # seconds that the streams run before the long prompt comes


@dataclass(frozen=True, slots=True)
class MixedRun:
    server: str
    round: int
    long: Sample
    streams: list[Sample]

    @property
    def failure(self) -> str | None:
        return failure_of([self.long, *self.streams])

    def longest_pause(self, *, disturbed: bool) -> float:
        """Seconds between two pieces of a stream: while the long prompt is prefilled, or while nothing disturbs."""
        begin, end = self.long.sent, self.long.sent + (self.long.first_token or 0)
        pauses = [0.0]
        for stream in self.streams:
            at = stream.sent + (stream.first_token or 0)
            for gap in stream.gaps:
                if (at + gap > begin and at < end) == disturbed and (disturbed or at > begin):
                    pauses.append(gap)
                at += gap
        return max(pauses)


async def mixed_load(server: Server, prompts: Prompts, round_number: int) -> MixedRun:
    streams = [asyncio.create_task(ask(server, prompts.next(), STREAM_TOKENS)) for _ in range(STREAMS)]
    await asyncio.sleep(HEAD_START)
    long = await ask(server, [{"role": "user", "content": prompts.passage(LONG_TOKENS)}], 2)
    answers = await asyncio.gather(*streams)
    return MixedRun(server.name, round_number, read_sample(long), [read_sample(answer) for answer in answers])


def section(runs: list[MixedRun]) -> Section:
    rows = []
    for server, own, failed in by_server(runs):
        rows.append(
            [
                server,
                str(own[0].long.prompt_tokens or "") if own else "",
                milliseconds([run.longest_pause(disturbed=True) for run in own]),
                milliseconds([run.longest_pause(disturbed=False) for run in own]),
                milliseconds([run.long.first_token or 0 for run in own]),
                str(failed),
            ]
        )
    head = ["server", "tokens in", "longest pause of a stream", "after the prompt", "TTFT of the prompt", "failed"]
    text = (
        f"One prompt of about {LONG_TOKENS} tokens arrives while {STREAMS} streams run. The longest time between two pieces of any stream "
        "until the prompt's first token, and after it. Milliseconds, medians over the rounds (lowest to highest)."
    )
    return Section(TITLE, f"{text}\n\n{table(head, rows)}", runs)
