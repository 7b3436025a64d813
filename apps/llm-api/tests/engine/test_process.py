"""The engine's own process: its start, its death, and what its parent hears of both."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from llm_api.engine.client import EngineClient
from llm_api.engine.errors import EngineDied
from llm_api.engine.launcher import engine_process
from llm_api.engine.messages import EngineConfig, SamplingParams

ENDLESS = SamplingParams(max_tokens=200, temperature=0, ignore_eos=True)
MIB = 1024**2


def config(path: Path, **settings: object) -> EngineConfig:
    return EngineConfig(model_path=str(path), dtype="float32", num_threads=1, kv_cache_memory=MIB, **settings)  # type: ignore[arg-type]


@pytest.fixture
async def engine(checkpoint: Callable[[str], Path]) -> AsyncIterator[EngineClient]:
    client = EngineClient(config(checkpoint("llama")))
    await client.start()
    await client.wait_ready()
    yield client
    await client.stop()


async def collect(engine: EngineClient, request_id: str, sampling: SamplingParams = ENDLESS, n: int = 1) -> list[int]:
    return [token async for step in engine.generate(request_id, [5, 6, 7], sampling, n) for output in step for token in output.token_ids]


@asynccontextmanager
async def suspended(engine: EngineClient) -> AsyncIterator[None]:
    """However busy the machine is, the engine makes no step meanwhile; what it had written has been read."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    while engine.seconds_since_progress() < 0.2:
        await asyncio.sleep(0.1)
    try:
        yield
    finally:
        os.kill(engine.pid, signal.SIGCONT)


async def test_requests_are_answered_side_by_side(engine: EngineClient) -> None:
    answers = await asyncio.gather(*(collect(engine, str(number), n=2) for number in range(6)))
    assert [len(answer) for answer in answers] == [400] * 6


async def test_closing_early_cancels(engine: EngineClient) -> None:
    stream = engine.generate("left", [5] * 20, ENDLESS)
    await anext(stream)
    async with suspended(engine):
        assert engine.stats is not None
        steps = engine.stats.steps
        await stream.aclose()
    await collect(engine, "other", SamplingParams(max_tokens=1))
    assert engine.stats.running == 0
    assert engine.stats.steps < steps + ENDLESS.max_tokens // 2


async def test_a_cancelled_choice_ends_alone(engine: EngineClient) -> None:
    seen, running = Counter[int](), list[int]()
    engine.on_step = lambda stats: running.append(stats.running)

    async def count() -> None:
        async for step in engine.generate("two", [5, 6], ENDLESS, 2):
            seen.update(output.index for output in step for _ in output.token_ids)

    async with suspended(engine):
        counting = asyncio.create_task(count())
        await asyncio.sleep(0)
        engine.cancel("two", 0)
    await counting
    assert seen == {1: ENDLESS.max_tokens}
    assert max(running[-ENDLESS.max_tokens // 2 :]) == 1, "the engine ended it too"


async def test_a_killed_engine_fails_everything_in_flight_by_name_of_the_signal(engine: EngineClient) -> None:
    waiting = [asyncio.create_task(collect(engine, str(number))) for number in range(3)]
    await asyncio.sleep(0)
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, EngineDied) for result in results)
    assert "SIGKILL" in await engine.wait_died()
    with pytest.raises(EngineDied):
        await collect(engine, "late")


async def test_a_stopped_engine_shows_no_progress_and_a_continued_one_does(engine: EngineClient) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    await asyncio.sleep(1.5)
    assert engine.seconds_since_progress() > 1
    os.kill(engine.pid, signal.SIGCONT)
    await asyncio.sleep(1.2)
    assert engine.seconds_since_progress() < 1.2


async def test_signals_to_the_whole_group_leave_the_engine_to_its_parent(engine: EngineClient) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGTERM)
    os.kill(engine.pid, signal.SIGINT)
    assert len(await collect(engine, "after")) == 200


async def test_stopping_leaves_no_process(checkpoint: Callable[[str], Path]) -> None:
    client = EngineClient(config(checkpoint("llama")))
    await client.start()
    await client.wait_ready()
    assert client.pid is not None
    process = psutil.Process(client.pid)
    await client.stop()
    assert not process.is_running()


async def test_one_that_is_told_nothing_ends_quietly_with_its_parent(capfd: pytest.CaptureFixture[str]) -> None:
    with engine_process() as process:
        process.connection.close()
        assert await process.wait(60) == 0
    assert capfd.readouterr() == ("", "")


def test_one_that_was_started_ahead_in_vain_leaves_no_process() -> None:
    with engine_process() as process:
        assert psutil.pid_exists(process.pid)
    assert not psutil.pid_exists(process.pid)


async def test_one_that_was_started_ahead_loads_what_it_is_told(checkpoint: Callable[[str], Path]) -> None:
    with engine_process() as process:
        client = EngineClient(config(checkpoint("llama")), process)
        await client.start()
        await client.wait_ready()
        assert client.pid == process.pid
        await client.stop()


async def test_stopping_ends_what_is_in_flight(checkpoint: Callable[[str], Path]) -> None:
    client = EngineClient(config(checkpoint("llama")))
    await client.start()
    await client.wait_ready()
    stream = client.generate("long", [5] * 20, ENDLESS)
    await anext(stream)
    await client.stop()
    with pytest.raises(EngineDied, match="stopped"):
        async for _ in stream:
            pass
    with pytest.raises(EngineDied, match="stopped"):
        await collect(client, "late")


async def test_stopping_kills_what_does_not_listen_and_ends_the_wait_for_its_model(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_api.engine.client.STOP_SECONDS", 0.2)
    client = EngineClient(config(checkpoint("llama")))
    await client.start()
    assert client.pid is not None
    process = psutil.Process(client.pid)
    process.suspend()
    waiting = asyncio.create_task(client.wait_ready())
    await client.stop()
    assert not process.is_running()
    with pytest.raises(EngineDied, match="stopped"):
        await waiting


async def test_a_model_that_cannot_be_loaded_is_reported_in_one_line(tmp_path: Path) -> None:
    client = EngineClient(config(tmp_path))
    await client.start()
    with pytest.raises(EngineDied, match=r"config\.json cannot be read") as died:
        await client.wait_ready()
    assert "\n" not in str(died.value)
    assert client.state.phase == "failed"
    await client.stop()


def test_an_engine_does_not_outlive_a_killed_parent(checkpoint: Callable[[str], Path]) -> None:
    program = f"""
import asyncio
from pathlib import Path
from engine.test_process import config
from llm_api.engine.client import EngineClient

async def main():
    client = EngineClient(config(Path({str(checkpoint("llama"))!r})))
    await client.start()
    await client.wait_ready()
    print(client.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        engine = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    engine.wait(5)
