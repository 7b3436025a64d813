"""The engine process: how it starts and ends, and what its client reports.

Tests that leave the engine running share one: starting a process that imports torch takes seconds.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from llm_api.engine.client import EngineClient
from llm_api.engine.errors import EngineDied
from llm_api.engine.launcher import worker_process
from llm_api.engine.messages import EngineConfig, SamplingParams

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ENDLESS = SamplingParams(max_tokens=200, temperature=0, ignore_eos=True)
MIB = 1024**2


def config(path: Path, **settings: object) -> EngineConfig:
    return EngineConfig(model_path=str(path), dtype="float32", num_threads=1, kv_cache_memory=MIB, **settings)  # type: ignore[arg-type]


@asynccontextmanager
async def started(path: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient(config(path))
    await client.start()
    await client.wait_ready()
    yield client
    await client.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(checkpoint: Callable[[str], Path]) -> AsyncIterator[EngineClient]:
    async with started(checkpoint("llama")) as client:
        yield client


async def collect(engine: EngineClient, request_id: str, sampling: SamplingParams = ENDLESS, n: int = 1) -> list[int]:
    return [token async for step in engine.generate(request_id, [5, 6, 7], sampling, n) for output in step for token in output.token_ids]


@asynccontextmanager
async def suspended(engine: EngineClient) -> AsyncIterator[None]:
    """The engine computes no step inside the block, and the client has read all that it sent before."""
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


async def test_a_killed_engine_fails_all_requests_in_flight_and_names_the_signal(checkpoint: Callable[[str], Path]) -> None:
    async with started(checkpoint("llama")) as engine:
        requests = [asyncio.create_task(collect(engine, str(number))) for number in range(3)]
        await asyncio.sleep(0)
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        results = await asyncio.gather(*requests, return_exceptions=True)
        assert all(isinstance(result, EngineDied) for result in results)
        assert "SIGKILL" in await engine.wait_died()
        with pytest.raises(EngineDied):
            await collect(engine, "late")


async def test_a_suspended_engine_shows_no_progress_and_a_resumed_one_does(engine: EngineClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.engine.connection.PING_SECONDS", 0.05)
    async with suspended(engine):
        age = engine.seconds_since_progress()
        await asyncio.sleep(0.2)  # several pings, which it does not answer
        assert engine.seconds_since_progress() > age
    while engine.seconds_since_progress() > age:
        await asyncio.sleep(0.01)


async def test_signals_to_the_process_group_do_not_stop_the_engine(engine: EngineClient) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGTERM)
    os.kill(engine.pid, signal.SIGINT)
    assert len(await collect(engine, "after")) == 200


async def test_a_process_without_a_configuration_exits_silently_with_its_parent(capfd: pytest.CaptureFixture[str]) -> None:
    with worker_process("engine", "llm_api.engine") as process:
        process.connection.close()
        assert await process.wait(60) == 0
    assert capfd.readouterr() == ("", "")


async def test_a_process_that_no_client_used_is_killed() -> None:
    with worker_process("engine", "llm_api.engine") as process:
        assert psutil.pid_exists(process.pid)
    assert not psutil.pid_exists(process.pid)


async def test_a_client_uses_a_process_that_is_already_running(checkpoint: Callable[[str], Path]) -> None:
    with worker_process("engine", "llm_api.engine") as process:
        client = EngineClient(config(checkpoint("llama")), process)
        await client.start()
        await client.wait_ready()
        assert client.pid == process.pid
        await client.stop()


async def test_stopping_ends_the_process_and_fails_requests_in_flight(checkpoint: Callable[[str], Path]) -> None:
    async with started(checkpoint("llama")) as client:
        assert client.pid is not None
        process = psutil.Process(client.pid)
        stream = client.generate("long", [5] * 20, ENDLESS)
        await anext(stream)
        await client.stop()
        assert not process.is_running()
        with pytest.raises(EngineDied, match="stopped"):
            async for _ in stream:
                pass
        with pytest.raises(EngineDied, match="stopped"):
            await collect(client, "late")


async def test_stopping_kills_a_suspended_process_and_ends_wait_ready(
    checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_api.engine.connection.STOP_SECONDS", 0.2)
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


async def test_a_request_that_waits_for_a_model_that_cannot_be_loaded_gets_the_exit_code(tmp_path: Path) -> None:
    client = EngineClient(config(tmp_path))
    await client.start()
    with pytest.raises(EngineDied, match=r"config\.json cannot be read") as died:
        await collect(client, "early")
    assert died.value.exit_code == client.state.exit_code == 65
    await client.stop()


async def test_an_engine_does_not_outlive_a_killed_parent(checkpoint: Callable[[str], Path]) -> None:
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
    await asyncio.sleep(600)

asyncio.run(main())
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, env=environment)
    assert parent.stdout is not None
    engine = psutil.Process(int(await parent.stdout.readline()))
    parent.kill()
    await parent.wait()
    engine.wait(60)
