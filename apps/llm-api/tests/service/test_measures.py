import asyncio
from collections.abc import Iterator

import pytest
from service.calls import chat, completion
from service.conftest import Scripted, Serve

from llm_api.protocol.errors import EngineFailed
from llm_api.telemetry.context import REQUEST_CONTEXT, RequestContext
from llm_api.telemetry.metrics import Metrics


@pytest.fixture
def context() -> Iterator[RequestContext]:
    context = RequestContext(request_id="r")
    token = REQUEST_CONTEXT.set(context)
    yield context
    REQUEST_CONTEXT.reset(token)


def finished(metrics: Metrics) -> dict[str, float]:
    samples = next(iter(metrics.success.collect())).samples
    return {sample.labels["finished_reason"]: sample.value for sample in samples if sample.name.endswith("_total")}


def count(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name)


async def test_a_request_is_counted_once_with_its_tokens(
    serve: Serve, scripted: Scripted, metrics: Metrics, context: RequestContext
) -> None:
    answer = await serve(scripted("a b c", cached_tokens=3)).complete(completion(["x", "y z"], n=2)).infer()
    assert answer.usage is not None
    assert (context.prompt_tokens, context.cached_tokens, context.completion_tokens) == (3, 6, 4 * 4)
    assert answer.usage.prompt_tokens_details.cached_tokens == 6
    assert context.finish_reason == "stop"
    assert finished(metrics) == {"stop": 1}
    assert count(metrics, "llm_prompt_tokens_total") == 3
    assert count(metrics, "llm_generation_tokens_total") == 16
    assert count(metrics, "llm_time_to_first_token_seconds_count") == 1
    assert count(metrics, "llm_inter_token_latency_seconds_count") == 4 * 3
    assert count(metrics, "llm_e2e_request_latency_seconds_count") == 1


async def test_a_choice_cut_by_its_length_makes_the_reason_length(
    serve: Serve, scripted: Scripted, metrics: Metrics, context: RequestContext
) -> None:
    await serve(scripted("a b c d e f", "a")).chat(chat(n=2, max_completion_tokens=4)).infer()
    assert context.finish_reason == "length"
    assert finished(metrics) == {"length": 1}


async def test_a_closed_stream_counts_as_aborted(serve: Serve, scripted: Scripted, metrics: Metrics, context: RequestContext) -> None:
    stream = serve(scripted("a b c")).chat(chat(stream=True)).stream_infer()
    await anext(stream)
    await stream.aclose()
    assert finished(metrics) == {"abort": 1}
    assert (context.finish_reason, context.completion_tokens) == ("abort", 1)


async def test_a_cancelled_call_counts_as_aborted(serve: Serve, scripted: Scripted, metrics: Metrics) -> None:
    engine = scripted("a b c", holds_at=1)
    call = asyncio.create_task(serve(engine).complete(completion(["a", "b"])).infer())
    await engine.holding.wait()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert finished(metrics) == {"abort": 1}


async def test_a_failed_call_counts_as_an_error(serve: Serve, scripted: Scripted, metrics: Metrics) -> None:
    with pytest.raises(EngineFailed):
        await serve(scripted("a b c", dies_at=1)).chat(chat()).infer()
    assert finished(metrics) == {"error": 1}


async def test_a_stream_that_is_closed_after_its_end_stays_finished(
    serve: Serve, scripted: Scripted, metrics: Metrics, context: RequestContext
) -> None:
    async for chunk in (stream := serve(scripted("a")).chat(chat(stream=True)).stream_infer()):
        if chunk.choices[0].finish_reason:
            await stream.aclose()
            break
    assert context.finish_reason == "stop"
    assert finished(metrics) == {"stop": 1}
