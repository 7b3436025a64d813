import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from service.calls import chat, chat_text, completion
from service.conftest import Scripted, Serve

TEXT = "One, two, three, four and five."


@pytest.mark.parametrize(
    ("stop", "expected"),
    [(", three", "One, two"), (["e, tw", "four"], "On"), (["One"], ""), ("never", TEXT), (["e.", "five."], "One, two, three, four and ")],
)
async def test_the_text_ends_before_a_stop_string(serve: Serve, scripted: Scripted, stop: str | list[str], expected: str) -> None:
    answer = await serve(scripted(TEXT)).chat(chat(stop=stop)).infer()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == (expected, "stop")
    chunks = [chunk async for chunk in serve(scripted(TEXT)).chat(chat(stream=True, stop=stop)).stream_infer()]
    assert chat_text(chunks) == expected
    assert chunks[-1].choices[0].finish_reason == "stop"


@given(cut=st.integers(0, len(TEXT) - 1), length=st.integers(1, 12), pace=st.integers(1, 4), together=st.integers(1, 3))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_part_of_a_stop_string_is_ever_sent(
    serve: Serve, scripted: Scripted, cut: int, length: int, pace: int, together: int
) -> None:
    stop = TEXT[cut : cut + length]
    engine = scripted(TEXT, pace=pace, together=together)
    chunks = [chunk async for chunk in serve(engine).chat(chat(stream=True, stop=stop)).stream_infer()]
    assert chat_text(chunks) == TEXT[: TEXT.find(stop)]


async def test_held_back_text_is_sent_if_no_stop_string_follows(serve: Serve, scripted: Scripted) -> None:
    answer = await serve(scripted("The end\n")).chat(chat(stop="\n\n")).infer()
    assert answer.choices[0].message.content == "The end\n"


async def test_a_stop_string_cancels_its_own_sequence_and_no_other(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a STOP b c d", "a b c d e f g h")
    answer = await serve(engine).chat(chat(stop="STOP", n=2)).infer()
    assert [choice.message.content for choice in answer.choices] == ["a ", "a b c d e f g h"]
    assert [index for _, index in engine.cancelled] == [0]
    assert not engine.running


async def test_each_prompts_sequences_are_cancelled_by_their_own_stop_strings(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a STOP b c d", "a b c d")
    answer = await serve(engine).complete(completion(["x", "y"], stop="STOP", n=2)).infer()
    assert [choice.text for choice in answer.choices] == ["a ", "a b c d"] * 2
    assert sorted(index for _, index in engine.cancelled) == [0, 0]
    assert len({request_id for request_id, _ in engine.cancelled}) == 2


async def test_a_stop_string_ends_each_prompts_sequence_while_the_client_reads_nothing(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a STOP b c d e f g h")
    answer = serve(engine).complete(completion(["x", "y"], stop="STOP", stream=True)).stream_infer()
    await anext(answer)
    for _ in range(100):  # far more steps than the text has
        await asyncio.sleep(0)
    assert [index for _, index in engine.cancelled] == [0, 0]
    await answer.aclose()


async def test_a_sequence_that_ends_by_itself_is_not_cancelled(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a b STOP")
    answer = await serve(engine).chat(chat(stop=" STOP", max_completion_tokens=len(engine.scripts[0]))).infer()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("a b", "stop")
    assert engine.cancelled == []


async def test_logprobs_stop_where_the_text_stops(serve: Serve, scripted: Scripted) -> None:
    request = {"stop": "wo, th", "logprobs": True}
    answer = await serve(scripted(TEXT)).chat(chat(**request)).infer()
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert [token.token for token in logprobs.content or []] == ["One", ",", " two"]
    assert answer.choices[0].message.content == "One, t"
    chunks = [chunk async for chunk in serve(scripted(TEXT)).chat(chat(stream=True, **request)).stream_infer()]
    sent = [token.token for chunk in chunks if (part := chunk.choices[0].logprobs) for token in part.content or []]
    assert sent == ["One", ",", " two"]
