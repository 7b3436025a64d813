"""Answers that end early: the client disconnects, the engine fails, one sequence fails."""

import asyncio
from typing import Any

import pytest
from service.calls import answer_to, chat, chat_text, completion
from service.conftest import Scripted, Serve

from llm_api.protocol.errors import ApiError, EngineFailed

REQUESTS = [chat(), chat(n=3), completion(["a", "b", "c"], n=2)]


@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_cancelled_call_ends_all_its_sequences_at_once(serve: Serve, scripted: Scripted, request_: Any) -> None:
    engine = scripted("a b c d", holds_at=2)
    call = asyncio.create_task(answer_to(serve(engine), request_).infer())
    await engine.holding.wait()
    assert engine.running
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not engine.running


@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_closed_stream_ends_all_its_sequences_at_once(serve: Serve, scripted: Scripted, request_: Any) -> None:
    engine = scripted("a b c d")
    stream = answer_to(serve(engine), request_).stream_infer()
    await anext(stream)
    assert engine.running
    await stream.aclose()
    assert not engine.running


async def test_an_unread_stream_starts_no_sequence(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a")
    await serve(engine).chat(chat(stream=True)).stream_infer().aclose()
    assert engine.requests == []


@pytest.mark.parametrize("request_", REQUESTS)
async def test_an_engine_that_dies_fails_the_call(serve: Serve, scripted: Scripted, request_: Any) -> None:
    engine = scripted("a b c d", dies_at=2)
    with pytest.raises(EngineFailed, match="engine stopped"):
        await answer_to(serve(engine), request_).infer()
    assert not engine.running


async def test_a_stream_sends_the_text_from_before_the_engine_died(serve: Serve, scripted: Scripted) -> None:
    stream = serve(scripted("a b c d", dies_at=2)).chat(chat(stream=True)).stream_infer()
    chunks = [await anext(stream) for _ in range(3)]
    with pytest.raises(EngineFailed):
        await anext(stream)
    assert chat_text(chunks) == "a b"


@pytest.mark.parametrize("request_", [chat(n=2), completion(["a", "b"], n=2)])
async def test_a_failed_sequence_fails_its_request_with_the_engines_message(serve: Serve, scripted: Scripted, request_: Any) -> None:
    engine = scripted("a b c d", fails=(1, 2))
    with pytest.raises(ApiError, match="logits are not finite") as failed:
        await answer_to(serve(engine), request_).infer()
    assert failed.value.status == 500
    assert not engine.running
