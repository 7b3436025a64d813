"""`llm-api bench`."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from llm_api.bench.report import Report

EPILOG = """
Examples:

`llm-api bench`: starts the service with the settings of the environment, and measures it

`llm-api bench --peer vllm=http://127.0.0.1:8001`: compares it with another server

`llm-api bench --url https://llm.example.com --concurrency 1,32 --markdown performance.md`: measures a running service
"""


def bench(
    url: Annotated[str | None, typer.Option(help="The service to measure. Default: start one for the benchmark.")] = None,
    peer: Annotated[list[str] | None, typer.Option(help="name=URL, or name=URL#model, of a server to compare with; repeatable.")] = None,
    api_key: Annotated[str | None, typer.Option(envvar="BENCH_API_KEY", help="Key for --url.")] = None,
    concurrency: Annotated[str, typer.Option(help="Numbers of concurrent clients, separated by commas.")] = "1,4,16",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds. Each begins with another server.")] = 5,
    requests_per_client: Annotated[int, typer.Option(min=1, help="Requests that each client sends in a round.")] = 4,
    max_tokens: Annotated[int, typer.Option(min=2, help="Output tokens of a request.")] = 64,
    also: Annotated[
        str,
        typer.Option(
            help="More scenarios, separated by commas: prefix (requests that share a system prompt of 1,000 tokens), "
            "mixed (a prompt of 4,000 tokens arrives among 8 streams)."
        ),
    ] = "",
    seed: Annotated[int | None, typer.Option(help="Seed of the prompts. Default: random, so that no cache has them.")] = None,
    json: Annotated[Path | None, typer.Option(help="File for the figures of every request.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="File for the tables, between its markers if it has them.")] = None,
    section: Annotated[str, typer.Option(help="Name of those markers.")] = "bench",
) -> None:
    """Measure tokens per second, time to first token and inter-token latency, beside any OpenAI-compatible servers."""
    import asyncio

    from llm_api.bench.benchmark import benchmark
    from llm_api.bench.exchange import BenchError, parse_target
    from llm_api.bench.load import Load
    from llm_api.bench.own_server import NAME
    from llm_api.bench.scenarios import named

    try:
        loads = [Load(clients, requests_per_client, max_tokens) for clients in _numbers(concurrency)]
        peers = [parse_target(text) for text in peer or []]
        own = parse_target(f"{NAME}={url}", api_key) if url else None
        seed = seed or random.randrange(2**32)  # noqa: S311
        report = asyncio.run(benchmark(own, peers, loads, named(also), rounds, seed, _progress))
    except BenchError as error:
        typer.echo(f"llm-api bench: {error}", err=True)
        raise typer.Exit(1) from None
    _write(report, json, markdown, section)


def _numbers(text: str) -> list[int]:
    from llm_api.bench.exchange import BenchError

    try:
        numbers = [int(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 1:
        raise BenchError(f"--concurrency is {text!r}: write numbers from 1 up, separated by commas")
    return numbers


def _progress(line: str) -> None:
    typer.echo(line, err=True)


def _write(report: "Report", json: Path | None, markdown: Path | None, section: str) -> None:
    from llm_api.markdown import replace_section

    typer.echo(report.to_markdown())
    if json:
        json.parent.mkdir(parents=True, exist_ok=True)
        json.write_text(report.to_json(), encoding="utf-8")
    if markdown:
        text = markdown.read_text(encoding="utf-8") if markdown.exists() else ""
        markdown.write_text(replace_section(text, section, report.to_markdown()), encoding="utf-8")
