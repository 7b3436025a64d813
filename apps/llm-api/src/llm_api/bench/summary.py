"""Medians and ranges over the rounds, and the ratios of the first server to each of the others."""

from dataclasses import dataclass
from statistics import median, quantiles

from llm_api.bench.load import Run


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One server at one concurrency. Latencies in milliseconds over the requests of all rounds; None: no data."""

    server: str
    concurrency: int
    tokens_per_second: Spread
    first_token_p50: float | None
    first_token_p99: float | None
    inter_token_p50: float | None
    inter_token_p99: float | None
    prompt_tokens: float | None  # medians per request
    completion_tokens: float
    answered: int
    failed: int


@dataclass(frozen=True, slots=True)
class Ratio:
    """Tokens per second of `server` over those of `peer`, round by round."""

    server: str
    peer: str
    concurrency: int
    ratio: Spread


def summarise(runs: list[Run]) -> list[Cell]:
    keys = dict.fromkeys((run.concurrency, run.server) for run in runs)
    return [_cell([run for run in runs if (run.concurrency, run.server) == key]) for key in sorted(keys, key=lambda key: key[0])]


def compare(runs: list[Run], server: str) -> list[Ratio]:
    speed = {(run.server, run.concurrency, run.round): run.tokens_per_second for run in runs}
    pairs = dict.fromkeys((run.server, run.concurrency) for run in runs if run.server != server)
    rounds = sorted({run.round for run in runs})
    return [
        Ratio(server, peer, concurrency, _spread([speed[server, concurrency, n] / speed[peer, concurrency, n] for n in rounds]))
        for peer, concurrency in pairs
    ]


def _cell(runs: list[Run]) -> Cell:
    samples = [sample for run in runs for sample in run.answered]
    first = [sample.first_token * 1000 for sample in samples if sample.first_token is not None]
    gaps = [gap * 1000 for sample in samples for gap in sample.gaps]
    prompts = [sample.prompt_tokens for sample in samples if sample.prompt_tokens is not None]
    return Cell(
        server=runs[0].server,
        concurrency=runs[0].concurrency,
        tokens_per_second=_spread([run.tokens_per_second for run in runs]),
        first_token_p50=percentile(first, 50),
        first_token_p99=percentile(first, 99),
        inter_token_p50=percentile(gaps, 50),
        inter_token_p99=percentile(gaps, 99),
        prompt_tokens=median(prompts) if prompts else None,
        completion_tokens=median(sample.completion_tokens for sample in samples),
        answered=len(samples),
        failed=sum(len(run.samples) for run in runs) - len(samples),
    )


def percentile(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _spread(values: list[float]) -> Spread:
    return Spread(median(values), min(values), max(values))
