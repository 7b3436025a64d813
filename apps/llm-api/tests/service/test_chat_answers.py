import pytest
from service.calls import chat, chat_text
from service.conftest import Scripted, Serve

from llm_api.protocol.chat_answer import ChatCompletionChunk
from llm_api.protocol.response import Usage
from llm_api.tokenization.tokenizer import Tokenizer

TEXT = "Kubernetes runs containers 🎉, well."


async def test_an_answer_has_the_text_the_reason_and_the_counts(serve: Serve, scripted: Scripted, tokenizer: Tokenizer) -> None:
    engine = scripted(TEXT, cached_tokens=7)
    answer = await serve(engine).chat(chat()).infer()
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason, choice.logprobs) == (TEXT, "stop", None)
    assert answer.usage == Usage.of(len(engine.requests[0][0]), len(engine.scripts[0]) + 1, cached_tokens=7)
    assert answer.id.startswith("chatcmpl-")
    assert answer.model == "smollm2"
    assert answer.system_fingerprint is not None


async def test_a_stream_sends_role_text_finish_and_usage(serve: Serve, scripted: Scripted) -> None:
    request = chat(stream=True, stream_options={"include_usage": True})
    role, *texts, finish, usage = [chunk async for chunk in serve(scripted(TEXT, cached_tokens=7)).chat(request).stream_infer()]
    assert role.choices[0].delta.model_dump() == {"role": "assistant", "content": ""}
    assert chat_text(texts) == TEXT
    assert all(chunk.choices[0].delta.role is None and chunk.choices[0].finish_reason is None for chunk in texts)
    assert (finish.choices[0].delta.model_dump(), finish.choices[0].finish_reason) == ({}, "stop")
    assert usage.choices == []
    assert usage.usage == (await serve(scripted(TEXT, cached_tokens=7)).chat(chat()).infer()).usage
    chunks = [role, *texts, finish, usage]
    assert len({(chunk.id, chunk.created, chunk.model, chunk.system_fingerprint) for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_without_include_usage_ends_with_the_finish(serve: Serve, scripted: Scripted) -> None:
    chunks = [chunk async for chunk in serve(scripted(TEXT)).chat(chat(stream=True)).stream_infer()]
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_characters_split_over_tokens_arrive_whole(serve: Serve, scripted: Scripted) -> None:
    text = "日本 👩‍👩‍👧 é 🎉"
    chunks = [chunk async for chunk in serve(scripted(text)).chat(chat(stream=True)).stream_infer()]
    assert chat_text(chunks) == text
    assert not any("\ufffd" in chunk.choices[0].delta.model_dump_json() for chunk in chunks)


async def test_a_character_cut_by_max_tokens_is_replaced_at_the_end(serve: Serve, scripted: Scripted) -> None:
    answer = await serve(scripted("🎉")).chat(chat(max_completion_tokens=1)).infer()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("\ufffd", "length")


async def test_choices_stream_side_by_side_each_with_its_role_and_finish(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("One", "Two and more", "Three")
    chunks = [chunk async for chunk in serve(engine).chat(chat(stream=True, n=3)).stream_infer()]
    assert [chat_text(chunks, index) for index in range(3)] == ["One", "Two and more", "Three"]
    assert engine.requests[0][2] == 3
    for index in range(3):
        own = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert [choice.delta.role for choice in own] == ["assistant", *[None] * (len(own) - 1)]
        assert [choice.finish_reason for choice in own] == [*[None] * (len(own) - 1), "stop"]


async def test_a_handler_that_is_late_gets_one_text_chunk_for_several_steps(serve: Serve, scripted: Scripted) -> None:
    chunks = [chunk async for chunk in serve(scripted("a b c d e f", together=3)).chat(chat(stream=True)).stream_infer()]
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert texts == ["a b c", " d e f"]


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_the_developer_role_is_rendered_as_system(serve: Serve, scripted: Scripted, tokenizer: Tokenizer, role: str) -> None:
    engine = scripted("ok")
    messages = [{"role": role, "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]}]
    await serve(engine).chat(chat(messages=[*messages, {"role": "user", "content": "Hi"}])).infer()
    expected = "<|im_start|>system\nBe\nbrief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert engine.requests[0][0] == tokenizer.encode(expected, add_special_tokens=False)


def chunk_logprobs(chunk: ChatCompletionChunk) -> list[tuple[str, float]]:
    logprobs = chunk.choices[0].logprobs
    return [(token.token, token.logprob) for token in logprobs.content or []] if logprobs else []


@pytest.mark.parametrize("text", ["Plain words here", "é 🎉 日本"])
async def test_logprobs_cover_exactly_the_text(serve: Serve, scripted: Scripted, text: str) -> None:
    answer = await serve(scripted(text)).chat(chat(logprobs=True, top_logprobs=2)).infer()
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    tokens = logprobs.content or []
    assert bytes(byte for token in tokens for byte in token.bytes or []).decode() == text
    assert all([top.logprob for top in token.top_logprobs] == [0, -0.1] for token in tokens)
    streamed = [chunk async for chunk in serve(scripted(text)).chat(chat(stream=True, logprobs=True, top_logprobs=2)).stream_infer()]
    assert [pair for chunk in streamed for pair in chunk_logprobs(chunk)] == [(token.token, token.logprob) for token in tokens]


async def test_a_tokens_logprobs_come_with_its_text(serve: Serve, scripted: Scripted) -> None:
    chunks = [chunk async for chunk in serve(scripted("one two\n🎉 three")).chat(chat(stream=True, logprobs=True)).stream_infer()]
    for chunk in chunks:
        if chunk.choices[0].delta.content:
            logprobs = chunk.choices[0].logprobs
            assert logprobs is not None
            carried = bytes(byte for token in logprobs.content or [] for byte in token.bytes or [])
            assert carried.decode() == chunk.choices[0].delta.content


async def test_the_prompt_s_logprobs_arrive_although_the_first_token_has_no_text_yet(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("🎉")
    answer = await serve(engine).chat(chat(prompt_logprobs=0)).infer()
    assert answer.prompt_logprobs is not None
    assert len(answer.prompt_logprobs) == len(engine.requests[0][0])
