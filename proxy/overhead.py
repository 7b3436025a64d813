"""nginx's overhead: one replica measured directly, directly again, and through nginx, in turns (`make bench-proxy`)."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from llm_api.bench.exchange import Target
from llm_api.bench.load import Load, Run, interleaved_rounds
from llm_api.bench.machine import QUIET, cpu_busy, describe_machine, describe_software
from llm_api.bench.own_server import own_server
from llm_api.bench.probe import probe
from llm_api.bench.prompts import Prompts
from llm_api.bench.sample import Sample
from proxy import nginx
from proxy.certificates import certificate
from proxy.processes import nginx_options
from proxy.settings import ProxySettings

DIRECT, AGAIN, THROUGH = "direct", "direct again", "through nginx"
FOLDER = Path("build/bench-proxy")

Latency = Callable[[Sample], Sequence[float]]
LATENCIES: dict[str, Latency] = {
    "time to first token": lambda sample: () if sample.first_token is None else (sample.first_token,),
    "time between tokens": lambda sample: sample.gaps,
}


@dataclass(frozen=True, slots=True)
class Overhead:
    measured_at: str
    machine: str
    busy: float  # percent of the machine's CPU before the load
    load: Load
    rounds: int
    runs: list[Run]

    def to_markdown(self) -> str:
        requests = self.load.concurrency * self.load.requests_per_client
        lines = [
            f"Measured {self.measured_at} on {self.machine}.",
            f"{self.load.concurrency} clients over HTTP streaming, {self.load.max_tokens} tokens each;"
            f" {self.rounds} interleaved rounds of {requests} requests.",
            "Medians over the requests of a round, in milliseconds; ratios are taken within a round: their median (lowest to highest).",
            "",
            f"| | {DIRECT} | {AGAIN} | {THROUGH} | {AGAIN} / {DIRECT} | {THROUGH} / {DIRECT} |",
            "| --- | --- | --- | --- | --- | --- |",
            *(self._row(name, latency) for name, latency in LATENCIES.items()),
        ]
        if self.busy > QUIET:
            lines += ["", f"Not reliable: {self.busy:.0f}% of the machine's CPU was busy before the load began."]
        return "\n".join(lines) + "\n"

    def _row(self, name: str, latency: Latency) -> str:
        rounds = {server: self._medians(server, latency) for server in (DIRECT, AGAIN, THROUGH)}
        ratios = [[other / direct for other, direct in zip(rounds[server], rounds[DIRECT], strict=True)] for server in (AGAIN, THROUGH)]
        cells = [f"{1000 * median(rounds[server]):.1f}" for server in rounds]
        cells += [f"{median(ratio):.3f} ({min(ratio):.3f} to {max(ratio):.3f})" for ratio in ratios]
        return f"| {name} | {' | '.join(cells)} |"

    def _medians(self, server: str, latency: Latency) -> list[float]:
        """The median of each round, in order."""
        runs = sorted((run for run in self.runs if run.server == server), key=lambda run: run.round)
        return [median(value for sample in run.answered for value in latency(sample)) for run in runs]


async def measure_overhead(load: Load, rounds: int, progress: Callable[[Run], None]) -> Overhead:
    """Raises BenchError and ProxyError."""
    async with own_server(FOLDER / "server.log") as own, behind_nginx(own.target) as proxied:
        prompts = Prompts(random.randrange(2**32))  # noqa: S311
        targets = [replace(own.target, name=DIRECT), replace(own.target, name=AGAIN), proxied]
        servers = [await probe(each, prompts) for each in targets]
        busy = cpu_busy()
        runs = await interleaved_rounds(servers, [load], rounds, prompts, progress)
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return Overhead(now, f"{describe_machine()}; {describe_software()}", busy, load, rounds, runs)


@asynccontextmanager
async def behind_nginx(target: Target) -> AsyncIterator[Target]:
    """nginx with the configuration of `make up`, in front of one server."""
    settings = ProxySettings(replicas=1, replica_port=target.port, proxy_home=FOLDER)
    binary, used = nginx.find_nginx(), certificate(settings)
    (settings.home / "nginx").mkdir(parents=True, exist_ok=True)
    configuration = settings.home / "nginx.conf"
    options = nginx_options(settings)
    nginx.install(binary, configuration, nginx.render(nginx.variables(settings, used, nginx.version(binary))), options)
    with (FOLDER / "nginx.log").open("wb") as log:
        command = [binary, "-e", "stderr", "-c", str(configuration), "-p", str(settings.home), "-g", options]
        process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
    os.environ["SSL_CERT_FILE"] = str(used.ca or used.chain)  # the benchmark's client trusts it, too
    try:
        await asyncio.sleep(1)
        yield Target(THROUGH, settings.listen, settings.https_port, tls=True)
    finally:
        process.terminate()
        await process.wait()
