"""The official client against the real model."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError
from openai.types.chat import ChatCompletionUserMessageParam
from serving.service_process import ServiceProcess

QUESTION: ChatCompletionUserMessageParam = {"role": "user", "content": "What is Kubernetes?"}


def test_the_model_answers_a_question(server: ServiceProcess) -> None:
    answer = server.client().chat.completions.create(model="smol", messages=[QUESTION], temperature=0, max_tokens=24)
    assert answer.choices[0].message.content is not None
    assert "Kubernetes is" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 24


def test_a_stream_has_the_same_text_as_a_plain_response(server: ServiceProcess) -> None:
    client = server.client()
    plain = client.chat.completions.create(model="smol", messages=[QUESTION], temperature=0, max_tokens=24)
    chunks = list(
        client.chat.completions.create(
            model="smol",
            messages=[QUESTION],
            temperature=0,
            max_tokens=24,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == plain.choices[0].message.content
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert plain.usage is not None
    assert chunks[-1].usage.completion_tokens == plain.usage.completion_tokens


def test_a_completion_stops_at_the_end_of_text(server: ServiceProcess) -> None:
    answer = server.client().chat.completions.create(
        model="smol", messages=[{"role": "user", "content": "Say just: Hello"}], temperature=0, max_tokens=200
    )
    assert answer.choices[0].finish_reason == "stop"
    assert "<|im_end|>" not in (answer.choices[0].message.content or "")


def test_a_seed_repeats_its_text_and_choices_differ(server: ServiceProcess) -> None:
    def ask(seed: int) -> list[str | None]:
        answer = server.client().chat.completions.create(model="smol", messages=[QUESTION], temperature=1.2, seed=seed, n=3, max_tokens=16)
        return [choice.message.content for choice in answer.choices]

    first = ask(7)
    assert len(set(first)) == 3
    assert ask(7) == first
    assert ask(8) != first


def test_stop_strings_end_the_text_and_are_not_in_it(server: ServiceProcess) -> None:
    client = server.client()
    whole = client.chat.completions.create(model="smol", messages=[QUESTION], temperature=0, max_tokens=40)
    text = whole.choices[0].message.content or ""
    stop = text[20:27]
    stopped = client.chat.completions.create(
        model="smol", messages=[QUESTION], temperature=0, max_tokens=40, stop=[stop, "never generated"]
    )
    assert stopped.choices[0].message.content == text[: text.index(stop)]
    assert stopped.choices[0].finish_reason == "stop"


def test_logprobs_belong_to_the_tokens_of_the_text(server: ServiceProcess) -> None:
    answer = server.client().chat.completions.create(
        model="smol", messages=[QUESTION], temperature=0, max_tokens=8, logprobs=True, top_logprobs=3
    )
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert b"".join(bytes(t.bytes or []) for t in logprobs.content).decode() == answer.choices[0].message.content
    for token in logprobs.content:
        assert token.logprob == token.top_logprobs[0].logprob <= 0  # greedy takes the most likely token
        assert len(token.top_logprobs) == 3


def test_completions_continue_prompts_and_echo_them(server: ServiceProcess) -> None:
    client = server.client()
    prompts = ["The capital of France is", "One, two, three,"]
    plain = client.completions.create(model="smol", prompt=prompts, temperature=0, max_tokens=6)
    echoed = client.completions.create(model="smol", prompt=prompts, temperature=0, max_tokens=6, echo=True, logprobs=1)
    assert [prompt + choice.text for prompt, choice in zip(prompts, plain.choices, strict=True)] == [
        choice.text for choice in echoed.choices
    ]
    logprobs = echoed.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.token_logprobs is not None
    assert logprobs.token_logprobs[0] is None
    assert all(value <= 0 for value in logprobs.token_logprobs[1:])


def test_a_repeated_prompt_is_found_in_the_prefix_cache(server: ServiceProcess) -> None:
    message: ChatCompletionUserMessageParam = {"role": "user", "content": "Tell me about rivers. " * 20}
    client = server.client()
    client.chat.completions.create(model="smol", messages=[message], max_tokens=1)
    again = client.chat.completions.create(model="smol", messages=[message], max_tokens=1)
    assert again.usage is not None
    assert again.usage.prompt_tokens_details is not None
    assert (again.usage.prompt_tokens_details.cached_tokens or 0) > 64


def test_models_are_listed_and_unknown_ones_are_not_found(server: ServiceProcess) -> None:
    client = server.client()
    assert [model.id for model in client.models.list()] == ["smol"]
    assert client.models.retrieve("smol").id == "smol"
    with pytest.raises(NotFoundError) as refused:
        client.chat.completions.create(model="org/other", messages=[QUESTION])
    assert refused.value.code == "model_not_found"


def test_a_prompt_beyond_the_context_length_is_refused(server: ServiceProcess) -> None:
    with pytest.raises(BadRequestError, match="maximum context length") as refused:
        server.client().chat.completions.create(model="smol", messages=[{"role": "user", "content": "word " * 12_000}])
    assert refused.value.code == "context_length_exceeded"


def test_tokens_of_a_text_and_of_a_conversation_are_those_of_the_prompt(server: ServiceProcess) -> None:
    text = "Kubernetes é 🚀"
    tokens = server.post("/tokenize", json={"prompt": text}).json()["tokens"]
    assert server.post("/detokenize", json={"tokens": tokens}).json() == {"prompt": text}
    assert server.client().completions.create(model="smol", prompt=text, max_tokens=1).usage.prompt_tokens == len(tokens)  # type: ignore[union-attr]
    messages: Any = [{"role": "user", "content": "hi"}]
    conversation = server.post("/tokenize", json={"messages": messages, "return_token_strs": True}).json()
    usage = server.client().chat.completions.create(model="smol", messages=messages, max_tokens=1).usage
    assert usage and usage.prompt_tokens == conversation["count"] == len(conversation["token_strs"])
    assert conversation["token_strs"][0] == "<|im_start|>"
    assert server.post("/detokenize", json=conversation | {"count": None}).json()["prompt"].startswith("<|im_start|>system\n")
    refused = server.post("/detokenize", json={"tokens": [0, 49152]}).json()["error"]
    assert (refused["param"], refused["code"]) == ("tokens[1]", "invalid_value")
