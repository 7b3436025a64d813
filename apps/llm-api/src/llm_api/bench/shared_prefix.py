"""Requests that share a long system prompt: what the first of them pays, and what the later ones are spared by a prefix cache."""

from dataclasses import dataclass
from statistics import median

from llm_api.bench.load import ask
from llm_api.bench.probe import Server
from llm_api.bench.prompts import Prompts
from llm_api.bench.sample import Sample, read_sample
from llm_api.bench.section import Section, by_server, failure_of, milliseconds
from llm_api.markdown import table

TITLE = "A shared system prompt"
SYSTEM_TOKENS = 1000  # about
FOLLOWERS = 5
MAX_TOKENS = 8


@dataclass(frozen=True, slots=True)
class PrefixRun:
    server: str
    round: int
    first: Sample
    followers: list[Sample]

    @property
    def failure(self) -> str | None:
        return failure_of([self.first, *self.followers])


async def shared_prefix(server: Server, prompts: Prompts, round_number: int) -> PrefixRun:
    """One after the other. The system prompt is new in each round, so that the first request finds nothing cached."""
    system = prompts.passage(SYSTEM_TOKENS)
    samples = []
    for _ in range(1 + FOLLOWERS):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompts.passage(30)}]
        samples.append(read_sample(await ask(server, messages, MAX_TOKENS)))
    return PrefixRun(server.name, round_number, samples[0], samples[1:])


def section(runs: list[PrefixRun]) -> Section:
    rows = []
    for server, own, failed in by_server(runs):
        first = [run.first.first_token or 0 for run in own]
        later = [median(sample.first_token or 0 for sample in run.followers) for run in own]
        ratios = [a / b for a, b in zip(first, later, strict=True)]
        ratio = f"{median(ratios):.1f}" if ratios else ""
        tokens = str(own[0].first.prompt_tokens or "") if own else ""
        rows.append([server, tokens, milliseconds(first), milliseconds(later), ratio, str(failed)])
    head = ["server", "tokens in", "TTFT of the first", "TTFT of later ones", "times as fast", "failed"]
    text = (
        f"Requests one after the other with the same system prompt of about {SYSTEM_TOKENS} tokens, which nothing had cached "
        f"before the first. Milliseconds, medians over the rounds (lowest to highest); {FOLLOWERS} later ones in a round."
    )
    return Section(TITLE, f"{text}\n\n{table(head, rows)}", runs)
