"""`llm-api bench`: our service, beside any OpenAI-compatible peers, under the same load."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from llm_api.bench.footprint import Footprint, memory_of
from llm_api.bench.load import Load, Run
from llm_api.bench.machine import cpu_busy, describe_machine, describe_software
from llm_api.bench.own_server import NAME, own_server
from llm_api.bench.probe import probe
from llm_api.bench.prompts import Prompts
from llm_api.bench.report import Report
from llm_api.bench.rounds import measure
from llm_api.bench.scenarios import Scenario, measure_scenario, named
from llm_api.bench.target import BenchError, Target, parse_target
from llm_api.markdown import replace_section

SECTION = "bench"


def bench(
    url: Annotated[str | None, typer.Option(help="The service to measure. Default: one is started for the benchmark.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="name=URL, or name=URL#model, of a server to compare with; repeatable.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="BENCH_API_KEY", help="Key for --url.")] = None,
    concurrency: Annotated[str, typer.Option(help="Numbers of clients, separated by commas.")] = "1,4,16",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, each beginning with another server.")] = 5,
    requests_per_client: Annotated[int, typer.Option(min=1, help="Requests that each client sends in a round.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=2, help="Output tokens of a request.")] = 64,
    also: Annotated[
        str,
        typer.Option(
            help="What else to measure, separated by commas: prefix (requests that share a system prompt of 1,000 tokens), "
            "mixed (a prompt of 4,000 tokens arrives among 8 streams)."
        ),
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Of the prompts. Default: another one each time, so that no cache knows them.")] = None,
    json: Annotated[Path | None, typer.Option(help="File for the figures of every request.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for the tables, between its markers if it has them.")] = None,
    section: Annotated[str, typer.Option(help="Name of those markers.")] = SECTION,
) -> None:
    """Measure tokens per second, time to first token and inter-token latency, beside any OpenAI-compatible peers."""
    try:
        loads = [Load(clients, requests_per_client, max_tokens) for clients in _numbers(concurrency)]
        peers = [parse_target(text) for text in peer or []]
        own = parse_target(f"{NAME}={url}", api_key) if url else None
        report = asyncio.run(_report(own, peers, loads, named(also), rounds, seed or random.randrange(2**32)))  # noqa: S311
    except BenchError as error:
        typer.echo(f"llm-api bench: {error}", err=True)
        raise typer.Exit(1) from None
    _write(report, json, markdown, section)


async def _report(
    own: Target | None, peers: Sequence[Target], loads: Sequence[Load], also: Sequence[Scenario], rounds: int, seed: int
) -> Report:
    async with AsyncExitStack() as stack:
        started = None
        if own is None:
            started = await stack.enter_async_context(own_server(Path("build/bench-server.log")))
            own = started.target
        prompts = Prompts(seed)
        servers = [await probe(target, prompts) for target in (own, *peers)]
        busy = cpu_busy()
        runs = await measure(servers, loads, rounds, prompts, _progress)
        footprint = Footprint(started.settings, started.ready_seconds, memory_of(started.pid)) if started else None
        sections = [await measure_scenario(scenario, servers, rounds, prompts, _tell) for scenario in also]
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Report(now, describe_machine(), describe_software(), busy, rounds, seed, loads, servers, runs, sections, footprint)


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise BenchError(f"--concurrency is {text!r}: write numbers from 1 up, separated by commas")
    return numbers


def _progress(run: Run) -> None:
    failed = len(run.samples) - len(run.answered)
    trouble = f", {failed} failed" if failed else ""
    _tell(f"round {run.round}  {run.concurrency:3} clients  {run.server:16} {run.tokens_per_second:8.1f} tokens/s{trouble}")


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def _write(report: Report, json: Path | None, markdown: Path | None, section: str) -> None:
    typer.echo(report.to_markdown())
    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_text(report.to_json(), encoding="utf-8")
    if markdown:
        text = markdown.read_text(encoding="utf-8") if markdown.exists() else ""
        markdown.write_text(replace_section(text, section, report.to_markdown()), encoding="utf-8")
