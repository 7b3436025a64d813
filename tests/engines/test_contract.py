"""The same answers, errors and counts, whichever engine generates. make contract-upstream ENGINES=own,vllm,llama-server"""

import json
import time
from contextlib import suppress
from typing import Any, Literal

import httpx2
import jsonschema
import openai
import pytest
from engines.conftest import MODEL, Served
from pydantic import BaseModel

QUESTION: Any = [{"role": "user", "content": "What is Kubernetes?"}]
SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"enum": ["Paris", "Rome"]}, "degrees": {"type": "integer", "minimum": 0, "maximum": 40}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA}}
GREEDY: Any = {"model": MODEL, "messages": QUESTION, "temperature": 0}


class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    cloudy: bool


def test_a_whole_answer_and_a_stream_have_the_same_text(served: Served) -> None:
    whole = served.client.chat.completions.create(**GREEDY, max_tokens=16)
    stream = served.client.chat.completions.create(**GREEDY, max_tokens=16, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == whole.choices[0].message.content
    assert (whole.choices[0].finish_reason, whole.model) == ("length", MODEL)
    assert [choice.delta.role for chunk in chunks for choice in chunk.choices][:2] == ["assistant", None]
    usage = chunks[-1].usage
    assert usage is not None and whole.usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens == 16
    assert usage.prompt_tokens == whole.usage.prompt_tokens > 10


def test_a_stop_string_ends_the_answer_and_is_not_part_of_it(served: Served) -> None:
    text = served.client.chat.completions.create(**GREEDY, max_tokens=16).choices[0].message.content or ""
    stop = text.split()[2]
    for stream in (False, True):
        response = served.post("/v1/chat/completions", **GREEDY, max_tokens=16, stop=[stop], stream=stream)
        if stream:
            events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
            choices = [choice for event in events for choice in event["choices"]]
            found, reason = "".join(choice["delta"].get("content", "") for choice in choices), choices[-1]["finish_reason"]
        else:
            choice = response.json()["choices"][0]
            found, reason = choice["message"]["content"], choice["finish_reason"]
        assert (found, reason) == (text[: text.index(stop)], "stop")


def test_a_seed_repeats_an_answer(served: Served) -> None:
    first, again, other = (
        served.client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=16, seed=seed).choices[0].message.content
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_several_choices(served: Served) -> None:
    fields: Any = {"model": MODEL, "messages": QUESTION, "max_tokens": 8, "n": 2, "seed": 1}
    if not served.has("n"):
        with pytest.raises(openai.BadRequestError) as error:
            served.client.chat.completions.create(**fields)
        assert error.value.param == "n"
        return
    answer = served.client.chat.completions.create(**fields)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None and answer.usage.completion_tokens == 16


def test_logprobs(served: Served) -> None:
    if not served.has("logprobs"):
        return
    answer = served.client.chat.completions.create(**GREEDY, max_tokens=4, logprobs=True, top_logprobs=2)
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert len(logprobs.content) == 4
    assert all(token.logprob <= 0 and len(token.top_logprobs) == 2 and token.bytes is not None for token in logprobs.content)
    assert b"".join(bytes(token.bytes or ()) for token in logprobs.content).decode() == answer.choices[0].message.content


def test_structured_output_is_valid(served: Served) -> None:
    answer = served.client.chat.completions.parse(model=MODEL, messages=QUESTION, max_tokens=100, temperature=0, response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather)
    if served.form("choice"):
        response = served.post("/v1/chat/completions", **GREEDY, max_tokens=10, structured_outputs={"choice": ["yes", "no"]})
        assert response.json()["choices"][0]["message"]["content"] in ("yes", "no")


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=["required", "named"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_required_calls_are_valid(served: Served, choice: Any, stream: bool) -> None:
    fields: Any = {**GREEDY, "max_tokens": 100, "tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}
    if stream:
        with served.client.chat.completions.stream(**fields) as events:
            answer: Any = events.get_final_completion()
    else:
        answer = served.client.chat.completions.create(**fields)
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.function.name == "get_weather" and call.id
    jsonschema.validate(json.loads(call.function.arguments), SCHEMA)
    assert answer.choices[0].finish_reason == ("tool_calls" if choice == "required" else "stop")


def test_a_history_with_calls_is_served(served: Served) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris", "degrees": 5}'}}
    messages: Any = [
        *QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "cloudy"},
    ]
    assert served.client.chat.completions.create(model=MODEL, messages=messages, max_tokens=4).choices[0].message.content


def test_text_completions(served: Served) -> None:
    answer = served.client.completions.create(model=MODEL, prompt="Paris is", max_tokens=4, temperature=0)
    chunks = list(served.client.completions.create(model=MODEL, prompt="Paris is", max_tokens=4, temperature=0, stream=True))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == answer.choices[0].text
    assert (answer.choices[0].finish_reason, answer.usage and answer.usage.completion_tokens) == ("length", 4)


def test_a_prompt_that_is_too_long_is_refused_by_name(served: Served) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        served.client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "a " * 40_000}], max_tokens=1)
    assert (error.value.code, error.value.param) == ("context_length_exceeded", "messages")


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"temperature": 9}, "temperature"), ({"messages": []}, "messages"), ({"top_logprobs": 3}, "top_logprobs"), ({"model": 5}, "model")],
)
def test_bad_input_does_not_reach_the_engine(served: Served, fields: dict[str, Any], param: str) -> None:
    response = served.post("/v1/chat/completions", **{"messages": QUESTION, **fields})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_other_apis(served: Served) -> None:
    response = served.client.responses.create(model=MODEL, input="Hello", max_output_tokens=4)
    assert response.output_text and response.usage and response.usage.output_tokens == 4
    message = served.post("/v1/messages", messages=QUESTION, max_tokens=4).json()
    assert message["content"][0]["text"] and message["stop_reason"] == "max_tokens"


def test_tokens(served: Served) -> None:
    response = served.post("/v1/tokenize", prompt="Paris is")
    if served.engine != "own" and response.status_code == 404:
        return
    assert served.post("/v1/detokenize", tokens=response.json()["tokens"]).json() == {"prompt": "Paris is"}
    counted = served.post("/v1/messages/count_tokens", messages=QUESTION).json()["input_tokens"]
    answer = served.client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=1)
    assert answer.usage is not None and answer.usage.prompt_tokens == counted


def _leave_after_a_second(url: str, body: dict[str, Any]) -> None:
    started = time.monotonic()
    with suppress(httpx2.ReadTimeout), httpx2.stream("POST", url, json=body, timeout=1) as response:
        for _ in response.iter_bytes():
            if time.monotonic() - started > 1:
                return


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_generation_ends_when_the_client_leaves(served: Served, stream: bool) -> None:
    body = {**GREEDY, "max_tokens": 2000, "stream": stream, **({"ignore_eos": True} if served.has("ignore_eos") else {})}
    _leave_after_a_second(served.process.url + "/v1/chat/completions", body)
    deadline = time.monotonic() + 10
    while "llm_num_requests_running 0.0" not in served.process.get("/metrics").text:
        assert time.monotonic() < deadline, "the engine still runs the request"
        time.sleep(0.2)


def test_models_have_the_name_for_clients(served: Served) -> None:
    (model,) = served.client.models.list().data
    assert model.id == MODEL
    assert (model.model_extra or {})["max_model_len"] > 1000
