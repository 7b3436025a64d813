"""`make bench-upstream`: what the front costs. An engine is asked directly and through the front, in turns, in one run.

Without UPSTREAM_URL a scripted engine answers, which sends a token to each stream every 20 ms: it shows the front's own limit.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import aiohttp
import psutil
from aiohttp import web

from llm_api.markdown import table

STREAMS = (1, 16, 256)
ROUNDS = 3
TOKENS = 64
PACE = 0.02  # seconds between two tokens of the scripted engine
MODEL = "scripted"


@dataclass(frozen=True, slots=True)
class Round:
    """Seconds to the first token (median of the streams), and tokens per second of all streams."""

    first_token: float
    tokens_per_second: float


async def scripted_engine(port: int) -> None:
    """Serves until it is cancelled."""

    async def chat(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        due = time.monotonic()
        for number in range(body["max_tokens"]):
            last = number == body["max_tokens"] - 1
            choice = {"index": 0, "delta": {"content": " word"}, "finish_reason": "length" if last else None}
            await response.write(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
            due += PACE
            await asyncio.sleep(max(due - time.monotonic(), 0))
        usage = {"prompt_tokens": 5, "completion_tokens": body["max_tokens"], "total_tokens": 5 + body["max_tokens"]}
        await response.write(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\ndata: [DONE]\n\n")
        return response

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": MODEL, "owned_by": "vllm", "max_model_len": 4096}]})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


@contextmanager
def front(url: str, port: int) -> Iterator[psutil.Process]:
    environment = os.environ | {"UPSTREAM_URL": url, "PORT": str(port), "MAX_NUM_SEQS": "512", "LOG_LEVEL": "warning"}
    process = subprocess.Popen([sys.executable, "-m", "llm_api", "serve"], env=environment)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


async def measured(session: aiohttp.ClientSession, url: str, model: str, streams: int) -> Round:
    firsts: list[float] = []
    started = time.perf_counter()
    tokens = sum(await asyncio.gather(*(_stream(session, url, model, firsts) for _ in range(streams))))
    return Round(median(firsts), tokens / (time.perf_counter() - started))


async def _stream(session: aiohttp.ClientSession, url: str, model: str, firsts: list[float]) -> int:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": True, "max_tokens": TOKENS}
    started, tokens = time.perf_counter(), 0
    async with session.post(url + "/v1/chat/completions", json=body | {"ignore_eos": True}) as response:
        assert response.status == 200, await response.text()  # noqa: S101
        async for line in response.content:
            if b'"content":' in line and b'"content":""' not in line and b'"content": ""' not in line:
                tokens += 1
                if tokens == 1:
                    firsts.append(time.perf_counter() - started)
    return tokens


async def _ready(session: aiohttp.ClientSession, url: str) -> str:
    """The id of the model."""
    while True:
        try:
            async with session.get(url + "/v1/models") as response:
                if response.status == 200:
                    return str((await response.json())["data"][0]["id"])
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.2)


async def compared(engine: str, through: str, process: psutil.Process) -> list[tuple[str, ...]]:
    rows = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        model = await _ready(session, engine)
        assert await _ready(session, through) == model  # noqa: S101
        for streams in STREAMS:
            direct, fronted, cpu, chunks = [], [], 0.0, 0
            for turn in range(ROUNDS + 1):
                one = await measured(session, engine, model, streams)
                before = sum(process.cpu_times()[:2])
                other = await measured(session, through, model, streams)
                if turn:  # the first one warms up
                    direct.append(one)
                    fronted.append(other)
                    cpu += sum(process.cpu_times()[:2]) - before
                    chunks += streams * TOKENS
            rows.append(_row(streams, direct, fronted, cpu / chunks))
        rows_memory = process.memory_info().rss / 2**20
    print(f"memory of the front: {rows_memory:.0f} MiB", flush=True)
    return rows


def _row(streams: int, direct: list[Round], fronted: list[Round], cpu: float) -> tuple[str, ...]:
    first = median(one.first_token for one in direct), median(one.first_token for one in fronted)
    speed = median(one.tokens_per_second for one in direct), median(one.tokens_per_second for one in fronted)
    return (
        str(streams),
        f"{first[0] * 1000:.1f}",
        f"{first[1] * 1000:.1f}",
        f"{speed[0]:.0f}",
        f"{speed[1]:.0f}",
        f"{speed[1] / speed[0]:.3f}",
        f"{cpu * 1e6:.0f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine-port", type=int, default=18801)
    parser.add_argument("--front-port", type=int, default=18802)
    parser.add_argument("--scripted", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scripted:
        asyncio.run(scripted_engine(options.engine_port))
    url = os.environ.get("UPSTREAM_URL")
    command = [sys.executable, "-m", "tools.bench_upstream", "--scripted", "--engine-port", str(options.engine_port)]
    scripted = None if url else subprocess.Popen(command)  # noqa: S603
    engine, through = url or f"http://127.0.0.1:{options.engine_port}", f"http://127.0.0.1:{options.front_port}"
    try:
        with front(engine, options.front_port) as process:
            rows = asyncio.run(compared(engine, through, process))
    finally:
        if scripted:
            scripted.terminate()
    titles = (
        "Streams",
        "First token direct, ms",
        "through the front",
        "Tokens/s direct",
        "through the front",
        "Ratio",
        "µs of CPU a chunk",
    )
    print(table(titles, rows))


if __name__ == "__main__":
    main()
