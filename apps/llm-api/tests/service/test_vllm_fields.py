"""The fields of vLLM that decide where a completion ends and what its chunks report."""

import pytest
from service.calls import chat, chat_text, completion
from service.conftest import Scripted, Serve

from llm_api.protocol.errors import ApiError
from llm_api.telemetry.context import RequestContext
from llm_api.tokenization.tokenizer import Tokenizer

TEXT = "One, two, three, four and five."


async def test_a_stop_string_may_be_kept(serve: Serve, scripted: Scripted) -> None:
    request = {"stop": [", three"], "include_stop_str_in_output": True}
    answer = await serve(scripted(TEXT)).chat(chat(**request)).infer()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("One, two, three", "stop")
    chunks = [chunk async for chunk in serve(scripted(TEXT)).chat(chat(stream=True, **request)).stream_infer()]
    assert chat_text(chunks) == "One, two, three"


@pytest.mark.parametrize(("skipped", "text"), [(None, "One two"), (True, "One two"), (False, "One<|im_start|> two")])
async def test_special_tokens_are_part_of_the_text_if_asked_for(serve: Serve, scripted: Scripted, skipped: bool | None, text: str) -> None:
    service = serve(scripted("One<|im_start|> two"))
    answer = await service.chat(chat(skip_special_tokens=skipped)).infer()
    completed = await service.complete(completion(skip_special_tokens=skipped)).infer()
    assert (answer.choices[0].message.content, completed.choices[0].text) == (text, text)


async def test_no_stop_string_ends_the_first_min_tokens(serve: Serve, scripted: Scripted) -> None:
    """`One` is the first token, and `, two` are the next ones."""
    early = await serve(scripted(TEXT)).chat(chat(stop=[","])).infer()
    late = await serve(scripted(TEXT)).chat(chat(stop=[","], min_tokens=4)).infer()
    assert (early.choices[0].message.content, late.choices[0].message.content) == ("One", "One, two, three")


async def test_the_engine_gets_the_token_fields(serve: Serve, scripted: Scripted) -> None:
    engine = scripted(TEXT)
    await serve(engine).complete(completion(min_tokens=2, stop_token_ids=[5.0, 7], allowed_token_ids=[5, 6, 7])).infer()
    sampling = engine.requests[0][1]
    assert (sampling.min_tokens, sampling.stop_token_ids, sampling.allowed_token_ids) == (2, [5, 7], [5, 6, 7])


async def test_priority_and_the_keys_share_reach_the_engine(serve: Serve, scripted: Scripted, context: RequestContext) -> None:
    engine = scripted(TEXT)
    await serve(engine).chat(chat()).infer()
    context.key_name = "alice"
    await serve(engine).chat(chat(priority=-3)).infer()
    (_, nobody), (priority, alice) = engine.places
    assert (nobody, priority) == ("", -3)
    assert alice and "alice" not in alice


async def test_bad_words_are_forbidden_at_the_start_and_after_a_space(serve: Serve, scripted: Scripted, tokenizer: Tokenizer) -> None:
    engine = scripted(TEXT)
    await serve(engine).chat(chat(bad_words=[" Kubernetes", "\n"])).infer()
    texts = [tokenizer.decode(token_ids) for token_ids in engine.requests[0][1].bad_words]
    assert texts == ["Kubernetes", " Kubernetes", "\n"]


@pytest.mark.parametrize(("fields", "penalty"), [({"repeat_penalty": 1.1}, 1.1), ({"repeat_penalty": 1.1, "repetition_penalty": 1.3}, 1.3)])
async def test_repeat_penalty_is_another_name(serve: Serve, scripted: Scripted, fields: dict[str, float], penalty: float) -> None:
    engine = scripted(TEXT)
    await serve(engine).chat(chat(**fields)).infer()
    assert engine.requests[0][1].repetition_penalty == penalty


@pytest.mark.parametrize("field", ["stop_token_ids", "allowed_token_ids"])
async def test_a_token_outside_of_the_vocabulary_is_named(serve: Serve, scripted: Scripted, field: str) -> None:
    with pytest.raises(ApiError, match="outside of the vocabulary") as refused:
        await serve(scripted(TEXT)).chat(chat(**{field: [1, 2**30]})).infer()
    assert (refused.value.status, refused.value.param) == (400, f"{field}[1]")


async def test_every_chunk_may_have_the_usage_so_far(serve: Serve, scripted: Scripted) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = [chunk async for chunk in serve(scripted(TEXT)).chat(chat(stream=True, stream_options=options)).stream_infer()]
    counts = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    assert len(counts) == len(chunks)
    assert counts == sorted(counts) and counts[1] == 1 and counts[-1] > 8
    assert not chunks[-1].choices


async def test_minus_one_is_as_many_tokens_as_fit(serve: Serve, scripted: Scripted, context: RequestContext) -> None:
    engine = scripted(TEXT)
    await serve(engine).chat(chat()).infer()
    await serve(engine).chat(chat(max_tokens=-1)).infer()
    assert engine.requests[0][1].max_tokens == engine.requests[1][1].max_tokens > 100
    assert not context.ignored_fields


async def test_max_tokens_beyond_the_context_is_cut_and_named(serve: Serve, scripted: Scripted, context: RequestContext) -> None:
    engine = scripted(TEXT)
    await serve(engine).chat(chat(max_completion_tokens=10**8)).infer()
    await serve(engine).complete(completion(max_tokens=10**8)).infer()
    assert context.ignored_fields == ["max_completion_tokens", "max_tokens"]
    assert engine.requests[0][1].max_tokens < 10**6
