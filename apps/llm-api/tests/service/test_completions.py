from typing import Any

import pytest
from service.calls import completion, completion_text
from service.conftest import Scripted, Serve

from llm_api.protocol.completions import Logprobs
from llm_api.tokenization.tokenizer import Tokenizer

TEXT = " a platform 🎉 for containers"


async def test_a_completion_has_16_tokens_by_default(serve: Serve, scripted: Scripted) -> None:
    engine = scripted("a b c " * 20)
    answer = await serve(engine).complete(completion()).infer()
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 16
    assert answer.id.startswith("cmpl-")


async def test_a_stream_is_the_whole_in_parts(serve: Serve, scripted: Scripted) -> None:
    request = completion(stream=True, stream_options={"include_usage": True})
    *chunks, usage = [chunk async for chunk in serve(scripted(TEXT)).complete(request).stream_infer()]
    whole = await serve(scripted(TEXT)).complete(completion()).infer()
    assert completion_text(chunks) == whole.choices[0].text == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [*[None] * (len(chunks) - 1), "stop"]
    assert (usage.choices, usage.usage) == ([], whole.usage)
    assert len({(chunk.id, chunk.created) for chunk in [*chunks, usage]}) == 1


async def test_choices_are_numbered_over_all_prompts(serve: Serve, scripted: Scripted, tokenizer: Tokenizer) -> None:
    engine = scripted(" one", " two two")
    answer = await serve(engine).complete(completion(["First", "Second one"], n=2, echo=True)).infer()
    assert [(choice.index, choice.text) for choice in answer.choices] == [
        (0, "First one"),
        (1, "First two two"),
        (2, "Second one one"),
        (3, "Second one two two"),
    ]
    prompts = [tokenizer.encode(prompt, add_special_tokens=True) for prompt in ("First", "Second one")]
    assert [(ids, n) for ids, _, n in engine.requests] == [(ids, 2) for ids in prompts]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == sum(map(len, prompts))
    assert answer.usage.completion_tokens == 2 * (2 + 3)


@pytest.mark.parametrize("prompt", ["Hello é🎉 world", [19556, 905], [[19556, 905]]])
async def test_echo_begins_with_the_prompt(serve: Serve, scripted: Scripted, tokenizer: Tokenizer, prompt: Any) -> None:
    text = prompt if isinstance(prompt, str) else tokenizer.decode([19556, 905])
    chunks = [chunk async for chunk in serve(scripted(TEXT)).complete(completion(prompt, echo=True, stream=True)).stream_infer()]
    assert completion_text(chunks) == text + TEXT
    assert (await serve(scripted(TEXT)).complete(completion(prompt, echo=True)).infer()).choices[0].text == text + TEXT


def check_offsets(text: str, logprobs: Logprobs) -> None:
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset)
    for token, offset in zip(logprobs.tokens, logprobs.text_offset, strict=True):
        assert token.startswith("bytes:") or text[offset:].startswith(token)


@pytest.mark.parametrize("prompt", ["Hello é🎉 world", "<|im_start|>user", [1, 19556, 10813, 235, 119, 905]])
async def test_echoed_logprobs_cover_prompt_and_completion(serve: Serve, scripted: Scripted, tokenizer: Tokenizer, prompt: Any) -> None:
    request = completion(prompt, echo=True, logprobs=2)
    choice = (await serve(scripted(TEXT)).complete(request).infer()).choices[0]
    logprobs = choice.logprobs
    assert logprobs is not None
    prompt_ids = tokenizer.encode(prompt, add_special_tokens=True) if isinstance(prompt, str) else prompt
    ids = [*prompt_ids, *tokenizer.encode(TEXT, add_special_tokens=False)]
    assert logprobs.tokens == [tokenizer.token_text(token) for token in ids]
    assert logprobs.token_logprobs == [None, *(-token / 1000 for token in ids[1:])]
    assert logprobs.top_logprobs is not None
    assert logprobs.top_logprobs[0] is None
    assert logprobs.top_logprobs[-1] == {
        tokenizer.token_text(1000): 0,
        tokenizer.token_text(1001): -0.1,
        logprobs.tokens[-1]: -ids[-1] / 1000,
    }
    check_offsets(choice.text, logprobs)


async def test_streamed_logprobs_are_those_of_the_whole(serve: Serve, scripted: Scripted) -> None:
    fields: dict[str, Any] = {"prompt": "Hello é🎉", "echo": True, "logprobs": 1}
    whole = (await serve(scripted(TEXT)).complete(completion(**fields)).infer()).choices[0].logprobs
    chunks = [chunk async for chunk in serve(scripted(TEXT)).complete(completion(stream=True, **fields)).stream_infer()]
    parts = [part for chunk in chunks if (part := chunk.choices[0].logprobs)]
    assert whole is not None
    assert [token for part in parts for token in part.tokens] == whole.tokens
    assert [offset for part in parts for offset in part.text_offset] == whole.text_offset


async def test_logprobs_0_has_the_chosen_tokens_only(serve: Serve, scripted: Scripted) -> None:
    logprobs = (await serve(scripted(TEXT)).complete(completion(logprobs=0)).infer()).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.top_logprobs is None
    assert all(value is not None for value in logprobs.token_logprobs)
    assert logprobs.text_offset[0] == 0


async def test_max_tokens_0_scores_the_prompt_alone(serve: Serve, scripted: Scripted) -> None:
    answer = await serve(scripted(TEXT)).complete(completion("Hello world", echo=True, logprobs=0, max_tokens=0)).infer()
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Hello world", "length")
    assert logprobs.tokens == ["Hello", " world"]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


async def test_without_echo_the_prompt_is_not_scored(serve: Serve, scripted: Scripted) -> None:
    engine = scripted(TEXT)
    await serve(engine).complete(completion(logprobs=3)).infer()
    assert (engine.requests[0][1].logprobs, engine.requests[0][1].prompt_logprobs) == (3, None)
