"""Each invalid input gets a 400 that names the field by its path."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, running_server
from api.scripted_service import MODEL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import BadRequestError
from pydantic import ValidationError

from llm_api.api.validation import invalid_request
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest

USER = {"role": "user", "content": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}}
BAD_FIELDS: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": []}, "messages", "array_below_min_length"),
    ({"messages": None}, "messages", "invalid_type"),
    ({"messages": "hi"}, "messages", "invalid_type"),
    ({"messages": [3]}, "messages[0]", "invalid_type"),
    ({"messages": [{"content": "a"}]}, "messages[0].role", "missing_required_parameter"),
    ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"role": "robot", "content": "a", "name": "f"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [USER, {"role": "user"}]}, "messages[1].content", "missing_required_parameter"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", "invalid_type"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "array_below_min_length"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]}, "messages[0].content[1].type", "invalid_value"),
    ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", "missing_required_parameter"),
    ({"messages": [{**USER, "colour": "red"}]}, "messages[0].colour", "unknown_parameter"),
    ({"messages": [USER, {"role": "tool", "content": "a"}]}, "messages[1].tool_call_id", "missing_required_parameter"),
    ({"messages": [{"role": "assistant", "content": "a", "annotations": [{}]}]}, "messages[0].annotations", "unsupported_parameter"),
    ({"messages": [{"role": "assistant", "content": "a", "audio": {"id": "1"}}]}, "messages[0].audio", "unsupported_parameter"),
    (
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
        "messages[0].tool_calls[0].function",
        "missing_required_parameter",
    ),
    ({"model": None}, "model", "invalid_type"),
    ({"model": 5}, "model", "invalid_type"),
    ({"model": ""}, "model", "string_below_min_length"),
    ({"stream": "yes"}, "stream", "invalid_type"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"stream": True, "stream_options": {"include": 1}}, "stream_options.include", "unknown_parameter"),
    ({"n": 0}, "n", "integer_below_min_value"),
    ({"n": 129}, "n", "integer_above_max_value"),
    ({"n": True}, "n", "invalid_type"),
    ({"n": 1.5}, "n", "invalid_type"),
    ({"n": "1"}, "n", "invalid_type"),
    ({"temperature": "0"}, "temperature", "invalid_type"),
    ({"temperature": 2.1}, "temperature", "decimal_above_max_value"),
    ({"temperature": -1}, "temperature", "integer_below_min_value"),
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
    ({"top_k": -2}, "top_k", "integer_below_min_value"),
    ({"min_p": 2}, "min_p", "integer_above_max_value"),
    ({"repetition_penalty": 0}, "repetition_penalty", "integer_below_min_value"),
    ({"frequency_penalty": 2.5}, "frequency_penalty", "decimal_above_max_value"),
    ({"presence_penalty": -3}, "presence_penalty", "integer_below_min_value"),
    ({"logit_bias": {"a": 1}}, "logit_bias.a", "invalid_value"),
    ({"logit_bias": {"0005": 1}}, "logit_bias.0005", "invalid_value"),
    ({"logit_bias": {"+5": 1}}, "logit_bias.+5", "invalid_value"),
    ({"logit_bias": {"1.0": 1}}, "logit_bias.1.0", "invalid_value"),
    ({"logit_bias": {"4294967296": 1}}, "logit_bias.4294967296", "integer_above_max_value"),
    ({"logit_bias": {"5": 101}}, "logit_bias.5", "integer_above_max_value"),
    ({"logit_bias": [1]}, "logit_bias", "invalid_type"),
    ({"seed": 2**63}, "seed", "integer_above_max_value"),
    ({"seed": 10**400}, "seed", "integer_above_max_value"),
    ({"seed": 1.5}, "seed", "invalid_type"),
    ({"stop": ["a"] * 17}, "stop", "array_above_max_length"),
    ({"stop": ["a", 1]}, "stop[1]", "invalid_type"),
    ({"stop": 5}, "stop", "invalid_type"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_completion_tokens": 2**31}, "max_completion_tokens", "integer_above_max_value"),
    ({"logprobs": 1}, "logprobs", "invalid_type"),
    ({"top_logprobs": 5}, "top_logprobs", "invalid_value"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
    ({"store": True}, "store", "unsupported_parameter"),
    ({"service_tier": "flex"}, "service_tier", "unsupported_parameter"),
    ({"user": 5}, "user", "invalid_type"),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type"),
    ({"metadata": {str(i): "" for i in range(17)}}, "metadata", "object_above_max_length"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
    ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"tool_choice": "sometimes"}, "tool_choice", "invalid_value"),
    ({"tool_choice": {"type": "custom"}}, "tool_choice.type", "invalid_value"),
    ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name", "missing_required_parameter"),
    ({"tool_choice": 1}, "tool_choice", "invalid_type"),
    ({"functions": [{"name": 1}]}, "functions[0].name", "invalid_type"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
    ({"response_format": {}}, "response_format.type", "missing_required_parameter"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "response_format.json_schema.name",
        "missing_required_parameter",
    ),
    ({"structured_outputs": {}}, "structured_outputs", "invalid_value"),
    ({"structured_outputs": {"regex": "a", "json": {}}}, "structured_outputs", "invalid_value"),
    ({"structured_outputs": {"json": 1}}, "structured_outputs.json", "invalid_type"),
    ({"structured_outputs": {"choice": []}}, "structured_outputs.choice", "array_below_min_length"),
    ({"structured_outputs": {"regex": "a"}, "response_format": {"type": "json_object"}}, "structured_outputs", "invalid_value"),
    ({"modalities": ["audio"]}, "modalities[0]", "invalid_value"),
    ({"audio": {}}, "audio", "unsupported_parameter"),
    ({"prediction": {}}, "prediction", "unsupported_parameter"),
    ({"reasoning_effort": "ludicrous"}, "reasoning_effort", "invalid_value"),
    ({"continue_final_message": True}, "continue_final_message", "invalid_value"),
    ({"chat_template_kwargs": [1]}, "chat_template_kwargs", "invalid_type"),
    ({"verbosity": "low"}, "verbosity", "unsupported_parameter"),
    ({"web_search_options": {}}, "web_search_options", "unsupported_parameter"),
    ({"best_of": 1}, "best_of", "unknown_parameter"),
    ({"colour": "red"}, "colour", "unknown_parameter"),
    ({"x" * 100_000: 1}, "x" * 200, "unknown_parameter"),
]


@pytest.fixture(scope="module")
def http() -> Iterator[httpx2.Client]:
    """Of a server that refuses fields without effect. test_request_fields.py is about those that are served."""
    with running_server(request_fields="strict") as server, server.client() as client:
        yield client


@pytest.mark.parametrize(("fields", "param", "code"), BAD_FIELDS, ids=lambda value: str(value)[:60])
def test_invalid_fields_are_named_by_path(http: httpx2.Client, fields: dict[str, Any], param: str, code: str) -> None:
    response = http.post(CHAT, json=chat_body(**fields))
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (param, code, "invalid_request_error")
    assert param in error["message"]
    assert len(response.content) < 1000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b'{"model": "m" "messages": []}',
        json.dumps(chat_body(temperature=float("inf"))).encode(),
        json.dumps(chat_body()).encode() + b"x",
        b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\\udc00 \\ud800"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
        b'{"model": "m\xc3\x28"}',
        b'{"messages":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 5000,
        b'{"model": "m", "seed": 1' + b"0" * 5000 + b"}",
        json.dumps(chat_body()).encode("utf-16"),
    ],
    ids=lambda body: repr(body[:40]),
)
def test_invalid_json_is_refused_with_its_position(http: httpx2.Client, body: bytes) -> None:
    response = http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    error = response.json()["error"]
    if b"Infinity" in body:  # not JSON, but the parser accepts it and the field refuses it
        assert (error["param"], error["code"]) == ("temperature", "invalid_value")
    else:
        assert error["code"] == "invalid_json"
        assert "line 1 column" in error["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_refused(http: httpx2.Client, number: str) -> None:
    body = json.dumps(chat_body(temperature=0.125)).replace("0.125", number)
    response = http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "temperature"


@pytest.mark.parametrize("body", ["[]", '"text"', "null", "5"])
def test_a_body_that_is_not_an_object_is_refused(http: httpx2.Client, body: str) -> None:
    response = http.post(CHAT, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert "expected an object" in response.json()["error"]["message"]


def test_an_unknown_model_is_not_found(http: httpx2.Client) -> None:
    response = http.post(CHAT, json=chat_body(model="gpt-99"))
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"
    assert response.json()["error"]["message"] == "The model `gpt-99` does not exist or you do not have access to it."


def test_a_megabyte_of_text_is_accepted(http: httpx2.Client) -> None:
    assert http.post(CHAT, json=chat_body("é" * 500_000)).status_code == 200


def test_many_errors_are_counted_and_not_listed(http: httpx2.Client) -> None:
    response = http.post(CHAT, json=chat_body() | {f"field{i}": 0 for i in range(200_000)})
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "The body has 200000 invalid or unknown fields."


def test_the_official_client_reads_the_error(shared_server: RunningServer) -> None:
    with pytest.raises(BadRequestError) as raised:
        shared_server.openai().chat.completions.create(model=MODEL, messages=[], temperature=0)
    assert (raised.value.param, raised.value.code, raised.value.type) == ("messages", "array_below_min_length", "invalid_request_error")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
FIELDS = st.sampled_from(sorted({*ChatCompletionRequest.model_fields, *CompletionRequest.model_fields}))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fields=st.dictionaries(FIELDS, JSON, max_size=5), kind=st.sampled_from([ChatCompletionRequest, CompletionRequest]))
def test_any_values_are_either_valid_or_a_described_error(
    fields: dict[str, Any], kind: type[ChatCompletionRequest] | type[CompletionRequest]
) -> None:
    body = {"model": "m", "messages": [USER]} if kind is ChatCompletionRequest else {"model": "m", "prompt": "a"}
    try:
        request = kind.model_validate_json(json.dumps(body | fields))
    except ValidationError as error:
        answer = invalid_request(error)
        assert len(answer.message) < 600
        assert answer.code
    else:
        assert request.sequences >= 1
        assert kind.model_validate_json(request.model_dump_json()) == request
