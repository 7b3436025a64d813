"""A benchmark's result, as Markdown for people and as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from llm_api.bench.load import Load, Run
from llm_api.bench.machine import QUIET
from llm_api.bench.own_server import Footprint
from llm_api.bench.probe import Server
from llm_api.bench.summary import Cell, Ratio, Spread, compare, summarise
from llm_api.markdown import table


@dataclass(frozen=True, slots=True)
class Section:
    """A scenario's part of the report."""

    title: str
    markdown: str
    runs: Sequence[Any]  # dataclasses, for the JSON report


@dataclass(frozen=True, slots=True)
class Report:
    """The first server is compared with each of the others."""

    measured_at: str
    machine: str
    software: str
    busy: float  # percent of the machine's CPU before the load, with every server idle
    rounds: int
    seed: int
    loads: Sequence[Load]
    servers: Sequence[Server]
    runs: list[Run]
    sections: Sequence[Section] = ()
    footprint: Footprint | None = None  # of our service, if the benchmark started it

    def to_json(self) -> str:
        result = {
            "measured_at": self.measured_at,
            "machine": self.machine,
            "software": self.software,
            "busy": self.busy,
            "rounds": self.rounds,
            "seed": self.seed,
            "loads": [asdict(load) for load in self.loads],
            "servers": [_server(server) for server in self.servers],
            "cells": [asdict(cell) for cell in summarise(self.runs)],
            "ratios": [asdict(ratio) for ratio in self._ratios()],
            "footprint": self.footprint and asdict(self.footprint),
            "scenarios": {section.title: [asdict(run) for run in section.runs] for section in self.sections},
            "runs": [asdict(run) | {"tokens_per_second": run.tokens_per_second} for run in self.runs],
        }
        return json.dumps(result, indent=1) + "\n"

    def to_markdown(self) -> str:
        tables = [_results(summarise(self.runs))]
        if ratios := self._ratios():
            tables.append(_ratio_table(ratios))
        sections = [f"### {section.title}\n\n{section.markdown}" for section in self.sections]
        return "\n\n".join([self._introduction(), *tables, *self._remarks(), *sections]) + "\n"

    def _ratios(self) -> list[Ratio]:
        return compare(self.runs, self.servers[0].name)

    def _introduction(self) -> str:
        each = ", ".join(f"{load.concurrency * load.requests_per_client} at {load.concurrency}" for load in self.loads)
        return (
            f"Measured {self.measured_at} on {self.machine}; {self.software}.\n"
            f"Closed loop over HTTP streaming, greedy, up to {self.loads[0].max_tokens} output tokens, prompts that share no prefix; "
            f"{self.rounds} {'round' if self.rounds == 1 else 'interleaved rounds'}, requests per round: {each}.\n"
            "Tokens per second are the median over the rounds (lowest to highest); latencies are milliseconds over all requests."
        )

    def _remarks(self) -> list[str]:
        ignored = [server.name for server in self.servers if "ignore_eos" not in server.options]
        remarks = [f"These servers refuse `ignore_eos`, so some of their answers end early: {', '.join(ignored)}."] if ignored else []
        if self.footprint:
            remarks.append(str(self.footprint))
        if self.busy > QUIET:
            remarks.append(f"Not reliable: {self.busy:.0f}% of the machine's CPU was busy before the load began.")
        return remarks


def _server(server: Server) -> dict[str, object]:
    target = server.target  # without its API key
    return {"name": server.name, "url": target.url, "model": target.model, "software": server.software, "options": server.options}


def _results(cells: list[Cell]) -> str:
    head = ["clients", "server", "tokens/s", "TTFT p50", "p99", "inter-token p50", "p99", "tokens in", "out", "answered", "failed"]
    return table(head, [_row(cell) for cell in cells])


def _row(cell: Cell) -> list[str]:
    latencies = [cell.first_token_p50, cell.first_token_p99, cell.inter_token_p50, cell.inter_token_p99]
    speed, counts = _spread(cell.tokens_per_second, ".1f"), [_number(cell.prompt_tokens, ".0f"), _number(cell.completion_tokens, ".0f")]
    return [
        str(cell.concurrency),
        cell.server,
        speed,
        *(_number(value, ".1f") for value in latencies),
        *counts,
        str(cell.answered),
        str(cell.failed),
    ]


def _ratio_table(ratios: list[Ratio]) -> str:
    concurrencies = list(dict.fromkeys(ratio.concurrency for ratio in ratios))
    rows = [
        [f"{ratios[0].server} / {peer}", *(f"{_spread(ratio.ratio, '.2f')}" for ratio in group)]
        for peer, group in groupby(sorted(ratios, key=lambda ratio: (ratio.peer, ratio.concurrency)), key=lambda ratio: ratio.peer)
    ]
    return table(["tokens/s, ratio", *(f"at {concurrency}" for concurrency in sorted(concurrencies))], rows)


def _spread(spread: Spread, form: str) -> str:
    if spread.low == spread.high:
        return format(spread.median, form)
    return f"{spread.median:{form}} ({spread.low:{form}} to {spread.high:{form}})"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
