"""What the engine is asked: every default explicit, our fields under its names, and nothing that it would drop."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from upstream.front import QUESTION, Front, front
from upstream.scripted_upstream import MODEL, ScriptedUpstream, said, scripted_upstream

from llm_api.settings import UpstreamKind

TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
STRICT_TOOL = {"type": "function", "function": {**TOOL["function"], "strict": True}}  # which holds the arguments to the schema
OTHER_TOOL = {"type": "function", "function": {"name": "time"}}
SCHEMA = {"type": "object", "properties": {"a": {"default": None}}}


def asked(engine: ScriptedUpstream, server: Front, path: str = "/v1/chat/completions", **fields: Any) -> dict[str, Any]:
    """The engine's request."""
    engine.answers(lambda exchange: exchange.json(said(text="x") | {"choices": [said()["choices"][0] | {"text": "x"}]}))
    response = server.post(path, **fields)
    assert response.status_code == 200, response.text
    return engine.body


def test_every_default_is_sent(engine: ScriptedUpstream, server: Front) -> None:
    """The model's generation_config.json would change them."""
    assert asked(engine, server) == {
        "model": MODEL,
        "messages": QUESTION,
        "temperature": 1.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
    }
    completion = asked(engine, server, "/v1/completions", prompt="a")
    assert (completion["prompt"], completion["max_tokens"], completion["temperature"]) == ("a", 16, 1.0)


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({"temperature": 0, "top_k": -1, "seed": 3, "n": 2, "logit_bias": {"5": 1}, "stop": "a"},
         {"temperature": 0.0, "top_k": -1, "seed": 3, "n": 2, "logit_bias": {"5": 1.0}, "stop": ["a"]}),
        ({"repeat_penalty": 1.2}, {"repetition_penalty": 1.2}),
        ({"max_completion_tokens": 5, "max_tokens": 6}, {"max_tokens": 5}),
        ({"enable_thinking": False, "chat_template_kwargs": {"a": 1}}, {"chat_template_kwargs": {"enable_thinking": False, "a": 1}}),
        ({"seed": -1}, {"seed": 2**63 - 1}),
        ({"logprobs": True, "top_logprobs": 2, "min_tokens": 2}, {"logprobs": True, "top_logprobs": 2, "min_tokens": 2}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
         {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}}),
        ({"structured_outputs": {"choice": ["a", "b"]}}, {"structured_outputs": {"choice": ["a", "b"]}}),
        ({"tools": [TOOL, OTHER_TOOL], "tool_choice": "required", "parallel_tool_calls": False},
         {"tools": [STRICT_TOOL, OTHER_TOOL], "tool_choice": "required", "parallel_tool_calls": False}),
        ({"tools": [TOOL, OTHER_TOOL], "tool_choice": {"type": "function", "function": {"name": "time"}}},
         {"tools": [OTHER_TOOL], "tool_choice": {"type": "function", "function": {"name": "time"}}}),
        ({"functions": [TOOL["function"]], "function_call": {"name": "weather"}},
         {"tools": [STRICT_TOOL], "tool_choice": {"type": "function", "function": {"name": "weather"}}, "parallel_tool_calls": False}),
    ],
)  # fmt: skip
def test_fields_have_the_engines_names(engine: ScriptedUpstream, server: Front, fields: dict[str, Any], sent: dict[str, Any]) -> None:
    body = asked(engine, server, **fields)
    assert {name: body.get(name) for name in sent} == sent


@pytest.mark.parametrize(
    "fields",
    [
        {"stop": "", "n": 1, "logit_bias": {}, "tools": [], "min_tokens": 0, "skip_special_tokens": True, "bad_words": []},
        {"tools": [TOOL], "tool_choice": "none"},
        {"user": "me", "metadata": {"a": "b"}, "service_tier": "auto", "prompt_cache_key": "k", "safety_identifier": "s", "store": False},
        {"stream": False, "modalities": ["text"], "max_tokens": -1},
    ],
)
def test_fields_that_ask_for_nothing_are_not_sent_as_something(engine: ScriptedUpstream, server: Front, fields: dict[str, Any]) -> None:
    plain = asked(engine, server)
    body = asked(engine, server, **fields)
    assert {name: value for name, value in body.items() if name in plain} == plain
    assert not {"tools", "tool_choice", "user", "metadata", "store", "max_tokens", "stop", "service_tier"} & body.keys()


def test_histories_have_the_newer_form(engine: ScriptedUpstream, server: Front) -> None:
    messages: list[Any] = [
        *QUESTION,
        {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}, "annotations": []},
        {"role": "function", "name": "weather", "content": "cloudy"},
        {"role": "assistant", "content": "It is cloudy.", "thinking": "hm"},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ]
    _, call, result, answer, question = asked(engine, server, messages=messages)["messages"]
    assert call == {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": messages[1]["function_call"]}]}
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "cloudy")
    assert answer == {"role": "assistant", "content": "It is cloudy.", "reasoning_content": "hm"}
    assert question == messages[-1]


@pytest.mark.parametrize("mode", ["strict", "warn", "ignore"])
@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        ("/v1/completions", {"prompt": "a", "best_of": 2}, "best_of"),
        ("/v1/completions", {"prompt": "a", "suffix": "b"}, "suffix"),
    ],
)
def test_a_field_that_the_engine_would_drop_is_refused_in_every_mode(
    engine: ScriptedUpstream, mode: str, path: str, fields: dict[str, Any], param: str
) -> None:
    with front(engine.url, request_fields=mode) as server:
        status, error = server.error(path, **fields)
    assert (status, error["param"], error["code"]) == (400, param, "unsupported_parameter")
    assert "vLLM, which generates behind this server, does not have it" in error["message"]


def test_a_field_without_effect_follows_request_fields(engine: ScriptedUpstream, server: Front) -> None:
    engine.answers(lambda exchange: exchange.json(said()))
    response = server.post(priority=3)
    assert (response.status_code, response.headers["x-ignored-fields"]) == (200, "priority")
    assert "priority" not in engine.body
    assert "x-ignored-fields" not in server.post(priority=0).headers
    with front(engine.url, request_fields="strict") as strict:
        assert strict.error(priority=3)[1]["param"] == "priority"


JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
NAMED = {"tools": [TOOL, OTHER_TOOL], "tool_choice": {"type": "function", "function": {"name": "time"}}}
KINDS: list[tuple[UpstreamKind, dict[str, Any], dict[str, Any] | str]] = [
    ("llama-server", {"repetition_penalty": 1.2, "seed": -1}, {"repeat_penalty": 1.2, "seed": 2**32 - 2}),
    ("llama-server", {"structured_outputs": {"grammar": 'root ::= "a"'}}, {"grammar": 'root ::= "a"', "structured_outputs": None}),
    ("llama-server", {"structured_outputs": {"json": SCHEMA}}, {"json_schema": SCHEMA}),
    ("llama-server", {"structured_outputs": {"choice": ['a"', "b"]}}, {"grammar": 'root ::= "a\\"" | "b"'}),
    ("llama-server", {"structured_outputs": {"regex": "a"}}, "structured_outputs.regex"),
    ("llama-server", {"min_tokens": 3}, "min_tokens"),
    ("llama-server", NAMED, {"tools": [OTHER_TOOL], "tool_choice": "required"}),
    ("sglang", {"top_k": 0, "include_stop_str_in_output": True}, {"top_k": -1, "no_stop_trim": True}),
    ("sglang", {"structured_outputs": {"json": SCHEMA}}, {"response_format": JSON_SCHEMA}),
    ("sglang", {"structured_outputs": {"choice": ["a.", "b"]}}, {"regex": r"(a\.|b)"}),
    ("sglang", {"structured_outputs": {"grammar": "g"}}, {"ebnf": "g"}),
    ("sglang", {"prompt_logprobs": 1}, "prompt_logprobs"),
    ("tensorrt-llm", {"tools": [STRICT_TOOL]}, {"tools": [TOOL]}),
    ("tensorrt-llm", {"top_k": -1}, {"top_k": 0}),
    ("tensorrt-llm", {"structured_outputs": {"regex": "a"}}, {"response_format": {"type": "regex", "regex": "a"}}),
    ("tensorrt-llm", {"return_token_ids": True}, "return_token_ids"),
    ("tgi", {"top_p": 1.0, "presence_penalty": 0.0}, {"top_p": None, "presence_penalty": None, "model": "tgi"}),
    ("tgi", {"presence_penalty": 1.0}, "presence_penalty"),
    ("tgi", {"n": 2}, "n"),
    ("tgi", {"structured_outputs": {"json": SCHEMA}}, {"response_format": {"type": "json", "value": SCHEMA}}),
    ("tgi", {"response_format": JSON_SCHEMA}, {"response_format": {"type": "json", "value": SCHEMA}}),
    ("triton", {"tools": [TOOL], "parallel_tool_calls": False}, {"tools": [TOOL], "parallel_tool_calls": None}),
    ("triton", {"max_tokens": 5}, {"max_tokens": 5, "temperature": 1.0}),
    ("triton", {}, {"max_tokens": 2048}),
    ("triton", {"response_format": {"type": "json_object"}}, "response_format"),
    ("triton", {"logit_bias": {"1": 1}}, "logit_bias"),
    ("openai", {"top_k": 5}, "top_k"),
    ("openai", {"structured_outputs": {"regex": "a"}}, "structured_outputs.regex"),
]


@pytest.fixture(scope="module")
def fronts(engine: ScriptedUpstream) -> Iterator[dict[str, Front]]:
    gets = {"/ready": (200, ""), "/health/ready": (200, ""), "/info": (200, {"max_total_tokens": 99})}
    engine.gets |= gets
    with ExitStack() as stack:
        yield {kind: stack.enter_context(front(engine.url, kind)) for kind in {kind for kind, _, _ in KINDS}}


@pytest.mark.parametrize(("kind", "fields", "sent"), KINDS, ids=lambda value: str(value)[:60])
def test_each_kind_has_its_own_names(
    engine: ScriptedUpstream, fronts: dict[str, Front], kind: UpstreamKind, fields: dict[str, Any], sent: dict[str, Any] | str
) -> None:
    server = fronts[kind]
    if isinstance(sent, str):
        assert server.error(**fields)[1]["param"] == sent
    else:
        body = asked(engine, server, **fields)
        assert {name: body.get(name) for name in sent} == sent


@pytest.mark.parametrize(
    ("kind", "fields", "param"),
    [
        ("tgi", {"prompt": [1, 2]}, "prompt"),
        ("tgi", {"prompt": "a", "logprobs": 1}, "logprobs"),
        ("triton", {"prompt": ["a", "b"]}, "prompt"),
        ("triton", {"prompt": "a", "echo": True}, "echo"),
    ],
)
def test_text_completions_that_a_kind_does_not_have_are_refused(
    fronts: dict[str, Front], kind: str, fields: dict[str, Any], param: str
) -> None:
    assert fronts[kind].error("/v1/completions", **fields)[1]["param"] == param


def test_more_tokens_than_fit_mean_as_many_as_fit(engine: ScriptedUpstream, server: Front) -> None:
    engine.answers(lambda exchange: exchange.json(said()))
    response = server.post(max_tokens=99999)
    assert (response.headers["x-ignored-fields"], "max_tokens" in engine.body) == ("max_tokens", False)
    assert asked(engine, server, max_tokens=4000)["max_tokens"] == 4000


def test_the_usage_of_streams_is_always_asked_for(engine: ScriptedUpstream, server: Front) -> None:
    engine.answers(lambda exchange: exchange.events())
    server.post(stream=True)
    assert (engine.body["stream"], engine.body["stream_options"]) == (True, {"include_usage": True})


def test_the_engines_key_is_sent_and_may_be_replaced(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first\n")
    with scripted_upstream() as engine, front(engine.url, key_file=key) as server:
        asked(engine, server)
        key.write_text("second\n")
        asked(engine, server)
        assert [headers["authorization"] for headers in engine.headers] == ["Bearer first", "Bearer second"]


def test_the_engine_gets_the_request_id(engine: ScriptedUpstream, server: Front) -> None:
    engine.answers(lambda exchange: exchange.json(said()))
    response = server.post()
    assert engine.headers[-1]["x-request-id"] == response.headers["x-request-id"]
