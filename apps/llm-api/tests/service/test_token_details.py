"""What vLLM's clients read about tokens: ids, log probabilities of the prompt, prompts that are cut."""

from typing import Any

import pytest
from pydantic import ValidationError
from service.calls import answer_to, chat, completion
from service.conftest import Scripted, Serve

from llm_api.protocol.errors import ApiError
from llm_api.tokenization.tokenizer import Tokenizer

TEXT = "One, two, three."
PROMPT = [504, 2365, 314, 260]


async def test_completions_have_the_prompt_logprobs_in_each_choice(serve: Serve, scripted: Scripted, tokenizer: Tokenizer) -> None:
    answer = await serve(scripted(TEXT)).complete(completion(PROMPT, prompt_logprobs=2, n=2)).infer()
    for choice in answer.choices:
        first, *others = choice.prompt_logprobs or []
        assert first is None and len(others) == len(PROMPT) - 1
        assert list(others[0] or {}) == [str(PROMPT[1]), "1000", "1001"]
        own, alternative = (others[0] or {})[str(PROMPT[1])], (others[0] or {})["1001"]
        assert (own.logprob, own.decoded_token) == (-PROMPT[1] / 1000, tokenizer.token_text(PROMPT[1]))
        assert (alternative.rank, alternative.logprob) == (2, -0.1)


async def test_chat_has_the_prompt_logprobs_once(serve: Serve, scripted: Scripted) -> None:
    answer = await serve(scripted(TEXT)).chat(chat(prompt_logprobs=0)).infer()
    assert answer.usage.prompt_tokens == len(answer.prompt_logprobs or [])
    assert all(len(scores or {}) == 1 for scores in (answer.prompt_logprobs or [])[1:])


async def test_echo_has_its_own_number_of_alternatives(serve: Serve, scripted: Scripted) -> None:
    answer = await serve(scripted(TEXT)).complete(completion(PROMPT, prompt_logprobs=5, echo=True, logprobs=1)).infer()
    logprobs = answer.choices[0].logprobs
    assert logprobs and logprobs.top_logprobs and len(logprobs.top_logprobs[1] or {}) == 2
    assert len((answer.choices[0].prompt_logprobs or [])[1] or {}) == 6


def test_prompt_logprobs_are_not_streamed() -> None:
    with pytest.raises(ValidationError, match="is not available when 'stream' is true"):
        chat(prompt_logprobs=1, stream=True)


async def test_token_ids_are_those_of_the_prompt_and_of_all_tokens(serve: Serve, scripted: Scripted, tokenizer: Tokenizer) -> None:
    generated = [*tokenizer.encode(TEXT, add_special_tokens=False), 2]
    whole = await serve(scripted(TEXT)).complete(completion(PROMPT, return_token_ids=True)).infer()
    assert (whole.choices[0].prompt_token_ids, whole.choices[0].token_ids) == (PROMPT, generated)
    answer = await serve(scripted(TEXT)).chat(chat(return_token_ids=True)).infer()
    assert (len(answer.prompt_token_ids or []), answer.choices[0].token_ids) == (answer.usage.prompt_tokens, generated)


@pytest.mark.parametrize("request_", [chat(stream=True, return_token_ids=True), completion(stream=True, return_token_ids=True)])
async def test_streams_have_token_ids(serve: Serve, scripted: Scripted, tokenizer: Tokenizer, request_: Any) -> None:
    engine = scripted(TEXT, pace=3)
    chunks = [chunk async for chunk in answer_to(serve(engine), request_).stream_infer()]
    sent = [token for chunk in chunks for choice in chunk.choices for token in choice.token_ids or ()]
    assert sent == [*tokenizer.encode(TEXT, add_special_tokens=False), 2]
    owners = [chunk if hasattr(chunk, "prompt_token_ids") else chunk.choices[0] for chunk in chunks]
    assert [owner.prompt_token_ids for owner in owners] == [engine.requests[0][0]] + [None] * (len(chunks) - 1)


async def test_logprobs_may_name_tokens_by_id(serve: Serve, scripted: Scripted, tokenizer: Tokenizer) -> None:
    first = tokenizer.encode(TEXT, add_special_tokens=False)[0]
    answer = await serve(scripted(TEXT)).chat(chat(logprobs=True, top_logprobs=1, return_tokens_as_token_ids=True)).infer()
    logprobs = answer.choices[0].logprobs
    assert logprobs and logprobs.content
    assert (logprobs.content[0].token, logprobs.content[0].top_logprobs[0].token) == (f"token_id:{first}", "token_id:1000")
    whole = await serve(scripted(TEXT)).complete(completion(logprobs=1, return_tokens_as_token_ids=True)).infer()
    assert whole.choices[0].logprobs and whole.choices[0].logprobs.tokens[0] == f"token_id:{first}"


async def test_nothing_is_sent_unless_asked_for(serve: Serve, scripted: Scripted) -> None:
    service = serve(scripted(TEXT))
    sent = [(await service.chat(chat()).infer()).model_dump_json(), (await service.complete(completion()).infer()).model_dump_json()]
    assert not any("token_ids" in text or "prompt_logprobs" in text for text in sent)


@pytest.mark.parametrize(("kept", "prompt"), [(2, PROMPT[-2:]), (100, PROMPT), (None, PROMPT)])
async def test_the_end_of_the_prompt_is_kept(serve: Serve, scripted: Scripted, kept: int | None, prompt: list[int]) -> None:
    engine = scripted(TEXT)
    answer = await serve(engine).complete(completion(PROMPT, truncate_prompt_tokens=kept, echo=True, logprobs=0)).infer()
    assert engine.requests[0][0] == prompt
    logprobs = answer.choices[0].logprobs
    assert logprobs and logprobs.text_offset[0] == 0 and "".join(logprobs.tokens).startswith(answer.choices[0].text[:5])


@pytest.mark.parametrize(("request_", "length"), [(completion("word " * 300, max_tokens=6), 250), (chat("word " * 300), 255)])
async def test_minus_one_keeps_what_the_context_holds(serve: Serve, scripted: Scripted, request_: Any, length: int) -> None:
    engine = scripted(TEXT)
    await answer_to(serve(engine), request_.model_copy(update={"truncate_prompt_tokens": -1})).infer()
    assert len(engine.requests[0][0]) == length


async def test_a_prompt_that_stays_too_long_is_refused(serve: Serve, scripted: Scripted) -> None:
    with pytest.raises(ApiError, match="Please reduce the length"):
        await serve(scripted(TEXT)).complete(completion("word " * 300, truncate_prompt_tokens=280)).infer()


def test_no_prompt_of_zero_tokens_may_be_kept() -> None:
    with pytest.raises(ValidationError, match="must be -1, or at least 1"):
        completion(truncate_prompt_tokens=0)
