"""Measures the loss of accuracy by QUANTIZATION: `python -m llm_api.bench.accuracy`. Runs our service once for each setting.

The texts were written for this repository, so that no model was trained on them.
"""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_api.bench.exchange import BenchError, Target, exchange
from llm_api.bench.machine import describe_machine, describe_software
from llm_api.bench.own_server import own_server
from llm_api.markdown import replace_section, table

SECTION = "accuracy"
VARIANTS: tuple[dict[str, str], ...] = (
    {},
    {"DTYPE": "float32"},
    {"QUANTIZATION": "int8"},
    {"QUANTIZATION": "int4"},
)  # settings; float32 is the reference for rounding errors
TEXTS = ("corpus.txt", "passages.txt")
OPENING_WORDS = 40
CONTINUATION = 64  # tokens
SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Reading:
    """One server's results for the texts."""

    settings: dict[str, str]
    logprobs: list[float]  # of each token of the texts, except the first of each text
    likeliest: list[str]  # the most likely token at each of these positions
    continuations: list[list[str]]

    @property
    def perplexity(self) -> float:
        return math.exp(-sum(self.logprobs) / len(self.logprobs))

    def agreement(self, other: "Reading") -> float:
        """Share of positions whose most likely token is the same."""
        return sum(a == b for a, b in zip(self.likeliest, other.likeliest, strict=True)) / len(self.likeliest)

    def equal_tokens(self, other: "Reading") -> float:
        """Mean number of tokens of a greedy continuation before it differs from the other's."""
        runs = [_common(a, b) for a, b in zip(self.continuations, other.continuations, strict=True)]
        return sum(runs) / len(runs)


def accuracy(
    markdown: Annotated[Path | None, typer.Option(help=f"File for the table, between its `{SECTION}` markers if it has them.")] = None,
) -> None:
    """Measure perplexity and greedy agreement with each value of QUANTIZATION."""
    try:
        readings = [asyncio.run(_read_with(settings)) for settings in VARIANTS]
    except BenchError as error:
        typer.echo(f"accuracy: {error}", err=True)
        raise typer.Exit(1) from None
    result = report(readings)
    typer.echo(result)
    if markdown:
        markdown.write_text(replace_section(markdown.read_text(encoding="utf-8"), SECTION, result), encoding="utf-8")


def report(readings: Sequence[Reading]) -> str:
    """Compares each reading with the first."""
    first, now = readings[0], datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    rows = [
        [
            " ".join(f"`{name}={value}`" for name, value in reading.settings.items()) or "the defaults, bfloat16",
            f"{reading.perplexity:.2f} ({reading.perplexity / first.perplexity - 1:+.2%})",
            f"{reading.agreement(first):.2%}",
            f"{reading.equal_tokens(first):.1f}",
        ]
        for reading in readings
    ]
    head = ["settings", "perplexity", "same most likely token", f"equal of {CONTINUATION} greedy tokens"]
    return (
        f"Measured {now} on {describe_machine()}; {describe_software()}.\n"
        f"{len(first.logprobs)} tokens of texts written for this repository ({', '.join(f'`bench/{text}`' for text in TEXTS)}); "
        f"{len(first.continuations)} greedy continuations of their paragraphs' openings, up to the first token that differs.\n\n"
        + table(head, rows)
    )


async def _read_with(settings: dict[str, str]) -> Reading:
    timeouts = {"REQUEST_TIMEOUT": str(SECONDS), "DRAIN_TIMEOUT": str(SECONDS)}
    async with own_server(Path("build/accuracy-server.log"), settings | timeouts) as server:
        target = server.target
        texts = [(files(__package__) / name).read_text(encoding="utf-8") for name in TEXTS]
        scored = [await _complete(target, prompt=text, max_tokens=0, echo=True, logprobs=1) for text in texts]
        openings = [" ".join(paragraph.split()[:OPENING_WORDS]) for text in texts for paragraph in text.split("\n\n")]
        continued = await asyncio.gather(*(_complete(target, prompt=opening, max_tokens=CONTINUATION, logprobs=0) for opening in openings))
    return Reading(
        settings=settings,
        logprobs=[logprob for answer in scored for logprob in answer["token_logprobs"][1:]],
        likeliest=[max(top, key=top.__getitem__) for answer in scored for top in answer["top_logprobs"][1:]],
        continuations=[answer["tokens"] for answer in continued],
    )


async def _complete(target: Target, **fields: Any) -> dict[str, Any]:
    """The logprobs of a greedy completion."""
    models = await exchange(target, "GET", "/v1/models", seconds=SECONDS)
    body = {"model": json.loads(models.body)["data"][0]["id"], "temperature": 0, **fields}
    answer = await exchange(target, "POST", "/v1/completions", body, SECONDS)
    if answer.failure or answer.status != 200:
        raise BenchError(f"no completion: {answer.failure or answer.body[:200].decode(errors='replace')}")
    logprobs: dict[str, Any] = json.loads(answer.body)["choices"][0]["logprobs"]
    return logprobs


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    return next((i for i, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))


if __name__ == "__main__":
    typer.run(accuracy)
