import json
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body
from api.scripted_service import MODEL, WORDS
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage

TEXT = "".join(WORDS)


def events(response: httpx2.Response) -> list[str]:
    assert response.headers["content-type"].startswith("text/event-stream")
    return [event.removeprefix("data: ") for event in response.text.strip().split("\n\n")]


def stream(http: httpx2.Client, **fields: Any) -> list[str]:
    return events(http.post(CHAT, json=chat_body(stream=True, **fields)))


def test_the_official_client_gets_a_completion(shared_server: RunningServer) -> None:
    answer = shared_server.openai().chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "What is Kubernetes?"}])
    assert answer.choices[0].message.content == TEXT
    assert answer.usage
    assert answer.usage.prompt_tokens_details
    assert answer.usage.prompt_tokens_details.cached_tokens == 2


async def test_the_official_async_client_gets_a_stream(shared_server: RunningServer) -> None:
    chunks = await shared_server.async_openai().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], stream=True, stream_options={"include_usage": True}
    )
    received = [chunk async for chunk in chunks]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in received if chunk.choices) == TEXT
    assert received[-1].usage is not None


def test_a_completion_has_the_openai_format(http: httpx2.Client) -> None:
    response = http.post(CHAT, json=chat_body(n=2))
    answer = ChatCompletion.model_validate_json(response.text, strict=True)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert response.json()["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": TEXT, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert response.json()["usage"]["completion_tokens_details"] == {"reasoning_tokens": 0}


def test_a_stream_has_the_openai_format(http: httpx2.Client) -> None:
    *data, done = stream(http)
    chunks = [json.loads(item) for item in data]
    for item in data:
        ChatCompletionChunk.model_validate_json(item, strict=True)
    assert done == "[DONE]"
    assert chunks[0]["choices"][0] == {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    assert chunks[1]["choices"][0]["delta"] == {"content": WORDS[0]}
    assert chunks[-1]["choices"][0]["delta"] == {}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert len({(chunk["id"], chunk["created"]) for chunk in chunks}) == 1


def test_a_stream_has_no_usage_unless_requested(http: httpx2.Client) -> None:
    assert not any("usage" in json.loads(item) for item in stream(http)[:-1])


def test_usage_is_in_the_last_chunk_and_null_before(http: httpx2.Client) -> None:
    *earlier, last, _ = stream(http, stream_options={"include_usage": True})
    assert all(json.loads(item)["usage"] is None for item in earlier)
    assert json.loads(last)["choices"] == []
    assert json.loads(last)["usage"]["total_tokens"] == 7 + len(WORDS)


def test_stream_forbids_buffering(http: httpx2.Client) -> None:
    headers = http.post(CHAT, json=chat_body(stream=True)).headers
    assert headers["x-accel-buffering"] == "no"
    assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "u", "metadata": {"a": "b"}, "store": False, "service_tier": "auto", "safety_identifier": "s", "prompt_cache_key": "k"},
        {"parallel_tool_calls": True, "tool_choice": "none", "response_format": {"type": "text"}, "modalities": ["text"]},
        {"temperature": None, "tools": None, "stop": None, "n": None, "stream": None, "logit_bias": None, "response_format": None},
        {
            "top_k": 5,
            "min_p": 0.1,
            "repetition_penalty": 1.1,
            "ignore_eos": True,
            "seed": -1,
            "stop": ["a", "b"],
            "logit_bias": {"7": -100},
        },
        {"logprobs": True, "top_logprobs": 20, "max_tokens": 1, "max_completion_tokens": 2, "temperature": 0, "top_p": 1},
    ],
)
def test_supported_fields_are_accepted(http: httpx2.Client, fields: dict[str, Any]) -> None:
    assert http.post(CHAT, json=chat_body(**fields)).status_code == 200


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        [
            {"role": "system", "content": "s", "name": "n"},
            {"role": "user", "content": "u"},
        ],
        [
            {"role": "assistant", "content": "a", "refusal": None, "tool_calls": None, "audio": None, "annotations": None},
            {"role": "assistant", "content": "a", "function_call": None, "tool_calls": [], "annotations": []},
            {"role": "user", "content": "hi"},
        ],
    ],
)
def test_every_role_is_accepted(http: httpx2.Client, messages: list[dict[str, Any]]) -> None:
    assert http.post(CHAT, json={"model": MODEL, "messages": messages}).status_code == 200


@pytest.mark.parametrize("form", [lambda message: message, lambda message: message.model_dump(), lambda message: message.to_dict()])
def test_a_completion_can_be_sent_back_as_history(shared_server: RunningServer, form: Callable[[ChatCompletionMessage], Any]) -> None:
    client = shared_server.openai()
    message = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}]).choices[0].message
    client.chat.completions.create(model=MODEL, messages=[form(message), {"role": "user", "content": "go on"}])
