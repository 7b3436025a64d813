import asyncio
from typing import Any

import msgspec
import pytest
from service.calls import completion
from service.conftest import Scripted, Serve
from service.scripted_engine import INFO, ScriptedEngine

from llm_api.engine.messages import EngineState, EngineStats
from llm_api.telemetry.metrics import Metrics


@pytest.mark.parametrize(
    ("state", "silence", "expected"),
    [
        (EngineState(phase="loading"), 599, ("loading", True)),
        (EngineState(phase="warming"), 601, ("loading", False)),
        (EngineState(phase="ready", info=INFO), 59, ("ready", True)),
        (EngineState(phase="ready", info=INFO), 61, ("ready", False)),
        (EngineState(phase="failed", error="out of memory"), 0, ("failed", False)),
    ],
)
def test_health_follows_the_engine(serve: Serve, state: EngineState, silence: float, expected: tuple[str, bool]) -> None:
    health = serve(ScriptedEngine([], state=state, silence=silence)).health()
    assert (health.phase, health.progressing) == expected
    assert health.max_num_seqs == (16 if state.info else None)
    assert (state.error or state.phase) in health.detail


def test_the_model_is_listed_before_and_after_it_is_ready(serve: Serve) -> None:
    (loading,) = serve(ScriptedEngine([], state=EngineState(phase="loading"))).models()
    (ready,) = serve(ScriptedEngine([])).models()
    assert (loading.id, loading.max_model_len) == ("smollm2", None)
    assert (ready.id, ready.max_model_len) == ("smollm2", 256)


async def test_start_stop_and_failure_are_the_engines(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a")
    service = serve(engine)
    await service.start()
    assert engine.started
    waiting = asyncio.create_task(service.wait_failed())
    engine.released.set()
    assert "SIGKILL" in await waiting
    await service.stop()
    assert not engine.started


def test_each_engine_step_reaches_the_metrics(serve: Serve, metrics: Metrics) -> None:
    engine = ScriptedEngine([])
    serve(engine)
    counts = dict.fromkeys(("steps", "preemptions", "prefix_cache_queries", "prefix_cache_hits", "step_tokens"), 1)
    engine.on_step(EngineStats(running=3, waiting=2, kv_cache_usage=0.5, step_seconds=0.1, **counts))
    assert metrics.registry.get_sample_value("llm_num_requests_running") == 3


async def test_encoding_a_long_text_does_not_block_the_event_loop(serve: Serve, scripted: Scripted) -> None:
    state = EngineState(phase="ready", info=msgspec.structs.replace(INFO, max_model_len=10**7))
    call = asyncio.create_task(serve(scripted("ok", state=state)).complete(completion("word " * 200_000)).infer())
    turns = 0
    while not call.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert (await call).choices[0].text == "ok"
    assert turns > 10


async def test_the_fingerprint_changes_with_settings_that_affect_the_text(serve: Serve) -> None:
    async def fingerprint(**info: Any) -> str | None:
        state = EngineState(phase="ready", info=msgspec.structs.replace(INFO, **info))
        return (await serve(ScriptedEngine([[5]], state=state)).complete(completion()).infer()).system_fingerprint

    assert await fingerprint() == await fingerprint(max_model_len=512)
    assert await fingerprint() != await fingerprint(dtype="float32")
    assert await fingerprint() != await fingerprint(quantization="int8")
