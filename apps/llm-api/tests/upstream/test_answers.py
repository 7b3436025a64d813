"""What the client gets: the same chunks, objects and counts, whatever the engine sends."""

import json
import math
from typing import Any

import pytest
from upstream.front import NAME, QUESTION, Front, front
from upstream.scripted_upstream import ScriptedUpstream, counted, piece, said, scripted_upstream

TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
TOOLS: Any = {"tools": [TOOL]}
NAMED: Any = TOOLS | {"tool_choice": {"type": "function", "function": {"name": "weather"}}}


def events(server: Front, path: str = "/v1/chat/completions", **fields: Any) -> list[dict[str, Any]]:
    text = server.post(path, stream=True, **fields).text
    assert text.endswith("data: [DONE]\n\n")
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]


def choices(found: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str | None]]:
    return [(choice["delta"], choice["finish_reason"]) for event in found for choice in event["choices"]]


ROLE = ({"role": "assistant", "content": ""}, None)
CALL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": ""}}
STREAMS: list[tuple[str, dict[str, Any], list[dict[str, Any]], list[tuple[dict[str, Any], str | None]]]] = [
    (
        "the role comes first and once",
        {},
        [piece({"role": "assistant", "content": "a"}), piece({"role": "assistant", "content": "b"}), piece({}, "stop")],
        [ROLE, ({"content": "a"}, None), ({"content": "b"}, None), ({}, "stop")],
    ),
    (
        "the end has a chunk of its own",
        {},
        [piece({"role": "assistant", "content": None}), piece({"content": "a"}, "length")],
        [ROLE, ({"content": "a"}, None), ({}, "length")],
    ),
    (
        "empty pieces are left out",
        {},
        [piece({"content": ""}), piece({"content": None, "tool_calls": []}), piece({"content": "a"}), piece({"content": ""}, "stop")],
        [ROLE, ({"content": "a"}, None), ({}, "stop")],
    ),
    (
        "reasoning has both names",
        {},
        [piece({"reasoning": "hm"}), piece({"reasoning_content": "hm", "content": "a"}), piece({}, "eos_token")],
        [ROLE, *[({"reasoning_content": "hm", "reasoning": "hm"}, None)] * 2, ({"content": "a"}, None), ({}, "stop")],
    ),
    (
        "reasoning that is not wanted is left out",
        {"include_reasoning": False},
        [piece({"reasoning": "hm"}), piece({"content": "a"}, "stop")],
        [ROLE, ({"content": "a"}, None), ({}, "stop")],
    ),
    (
        "a call begins with id, type and name",
        TOOLS,
        [
            piece({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a'}}]}),
            piece({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '": 1}'}}]}),
            piece({}, "stop"),
        ],
        [
            ROLE,
            ({"tool_calls": [CALL]}, None),
            ({"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}, None),
            ({"tool_calls": [{"index": 0, "function": {"arguments": '": 1}'}}]}, None),
            ({}, "tool_calls"),
        ],
    ),
    (
        "arguments that are an object become text",
        TOOLS,
        [piece({"tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": {"a": 1}}}]}, "tool_calls")],
        [
            ROLE,
            ({"tool_calls": [CALL]}, None),
            ({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}, None),
            ({}, "tool_calls"),
        ],
    ),
    (
        "a named call ends with stop",
        NAMED,
        [piece({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather"}}]}), piece({}, "tool_calls")],
        [ROLE, ({"tool_calls": [CALL]}, None), ({}, "stop")],
    ),
    (
        "one call at most, if the request says so",
        TOOLS | {"parallel_tool_calls": False},
        [piece({"tool_calls": [{"index": index, "id": "c1", "function": {"name": "weather"}}]}) for index in (0, 1)] + [piece({}, "stop")],
        [ROLE, ({"tool_calls": [CALL]}, None), ({}, "tool_calls")],
    ),
    (
        "older clients get a function_call",
        {"functions": [TOOL["function"]]},
        [piece({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": "{}"}}]}), piece({}, "tool_calls")],
        [
            ROLE,
            ({"function_call": {"name": "weather", "arguments": ""}}, None),
            ({"function_call": {"arguments": "{}"}}, None),
            ({}, "function_call"),
        ],
    ),
]


@pytest.mark.parametrize(("fields", "sent", "expected"), [case[1:] for case in STREAMS], ids=[case[0] for case in STREAMS])
def test_chunks(engine: ScriptedUpstream, server: Front, fields: dict[str, Any], sent: Any, expected: Any) -> None:
    engine.answers(lambda exchange: exchange.events(*sent, counted()))
    found = events(server, **fields)
    assert choices(found) == expected
    assert len({(event["id"], event["created"], event["model"], event["object"]) for event in found}) == 1
    assert found[0]["model"] == NAME and found[0]["id"].startswith("chatcmpl-")
    assert all("usage" not in event for event in found)


def test_interleaved_choices_have_a_role_and_an_end_each(engine: ScriptedUpstream, server: Front) -> None:
    sent = [piece({"content": "a"}), piece({"content": "b"}, index=1), piece({}, "stop", 1), piece({"content": "c"}), piece({}, "length")]
    engine.answers(lambda exchange: exchange.events(*sent, counted()))
    found = events(server, n=2)
    for index, text, reason in ((0, "ac", "length"), (1, "b", "stop")):
        own = [choice for event in found for choice in event["choices"] if choice["index"] == index]
        assert own[0]["delta"] == ROLE[0] and own[-1]["finish_reason"] == reason
        assert "".join(choice["delta"].get("content", "") for choice in own) == text


def test_the_usage_is_sent_if_asked_for(engine: ScriptedUpstream, server: Front) -> None:
    engine.answers(lambda exchange: exchange.events(piece({"content": "a"}), piece({}, "stop"), counted(7, 3)))
    *others, last = events(server, stream_options={"include_usage": True})
    assert all(event["usage"] is None for event in others)
    assert (last["choices"], last["usage"]["prompt_tokens"], last["usage"]["total_tokens"]) == ([], 7, 10)


def test_the_usage_may_come_with_the_last_choice(engine: ScriptedUpstream, server: Front) -> None:
    engine.answers(lambda exchange: exchange.events(piece({"content": "a"}, "stop") | {"usage": counted(7, 3)["usage"]}))
    assert events(server, stream_options={"include_usage": True})[-1]["usage"]["total_tokens"] == 10


def test_tokens_are_measured_at_the_front(engine: ScriptedUpstream) -> None:
    with front(engine.url) as server:
        engine.answers(lambda exchange: exchange.events(piece({"content": "a"}), piece({"content": "b"}, "stop"), counted(7, 3)))
        events(server)
        engine.answers(lambda exchange: exchange.json(said(finish_reason="length")))
        server.post()
        text = server.metrics.render().decode()
    for line in (
        "llm_prompt_tokens_total 12.0",
        "llm_generation_tokens_total 5.0",
        "llm_time_to_first_token_seconds_count 1.0",
        "llm_inter_token_latency_seconds_count 1.0",
        'llm_request_success_total{finished_reason="stop"} 1.0',
        'llm_request_success_total{finished_reason="length"} 1.0',
    ):
        assert line in text.splitlines()


def test_the_engines_gauges_have_our_names() -> None:
    with scripted_upstream() as engine, front(engine.url) as server:
        engine.gets["/metrics"] = (200, 'vllm:num_requests_waiting{engine="0"} 3\nvllm:num_requests_waiting{engine="1"} 4\n')
        server.wait_for_metric("llm_num_requests_waiting 7.0")


@pytest.mark.parametrize(
    ("choice", "fields", "expected"),
    [
        ({"text": "a"}, {}, {"content": "a"}),
        ({"reasoning": "hm"}, {}, {"content": "Hi", "reasoning": "hm", "reasoning_content": "hm"}),
        ({"reasoning_content": "hm"}, {"include_reasoning": False}, {"content": "Hi"}),
        (
            {"text": None, "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": {"a": 1}}}]},
            TOOLS,
            {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"a":1}'}}]},
        ),
        (
            {"text": "", "tool_calls": [{"id": "c1", "function": {"name": "weather", "arguments": ""}}]},
            {"functions": [TOOL["function"]]},
            {"content": None, "function_call": {"name": "weather", "arguments": "{}"}},
        ),
    ],
)
def test_whole_messages(
    engine: ScriptedUpstream, server: Front, choice: dict[str, Any], fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    answer = said(choice.pop("text", "Hi"))
    answer["choices"][0]["message"] |= choice
    engine.answers(lambda exchange: exchange.json(answer))
    whole = server.post(**fields).json()
    assert whole["choices"][0]["message"] == {"role": "assistant", "refusal": None, **expected}
    assert (whole["model"], whole["usage"]["total_tokens"]) == (NAME, 7)


@pytest.mark.parametrize(
    ("sent", "calls", "fields", "expected"),
    [
        ("stop", False, {}, "stop"), ("eos_token", False, {}, "stop"), (None, False, {}, "stop"), ("length", False, {}, "length"),
        ("stop", True, TOOLS, "tool_calls"), ("tool_calls", True, TOOLS, "tool_calls"), ("tool_calls", True, NAMED, "stop"),
        ("tool_calls", False, TOOLS, "stop"), ("content_filter", False, {}, "content_filter"), ("length", True, TOOLS, "length"),
    ],
)  # fmt: skip
def test_finish_reasons(
    engine: ScriptedUpstream, server: Front, sent: str | None, calls: bool, fields: dict[str, Any], expected: str
) -> None:
    answer = said(finish_reason=sent)
    if calls:
        answer["choices"][0]["message"]["tool_calls"] = [{"id": "c", "function": {"name": "weather", "arguments": "{}"}}]
    engine.answers(lambda exchange: exchange.json(answer))
    assert server.post(**fields).json()["choices"][0]["finish_reason"] == expected


def test_logprobs_are_finite_and_have_bytes(engine: ScriptedUpstream, server: Front) -> None:
    tokens = [{"token": "é", "logprob": -math.inf, "bytes": None, "top_logprobs": [{"token": "a", "logprob": -1.5, "bytes": [97]}]}]
    engine.answers(
        lambda exchange: exchange.raw(json.dumps(said(logprobs={"content": tokens})).encode()),
        lambda exchange: exchange.events(piece({"content": "é"}, logprobs={"content": tokens}), piece({}, "stop")),
    )
    whole = server.post(logprobs=True, top_logprobs=1).json()["choices"][0]["logprobs"]
    assert whole["content"][0] | {"top_logprobs": 0} == {"token": "é", "logprob": -9999.0, "bytes": [195, 169], "top_logprobs": 0}
    _, text, _ = events(server, logprobs=True, top_logprobs=1)
    assert text["choices"][0]["logprobs"] == whole


def test_text_completions(engine: ScriptedUpstream, server: Front) -> None:
    choice = {"index": 0, "text": "a", "finish_reason": "length", "logprobs": {"tokens": ["a"], "token_logprobs": [-1.0],
              "top_logprobs": None, "text_offset": [0]}}  # fmt: skip
    engine.answers(
        lambda exchange: exchange.json({"choices": [choice], "usage": counted()["usage"]}),
        lambda exchange: exchange.events({"choices": [choice | {"finish_reason": None}]}, {"choices": [choice]}, counted()),
    )
    whole = server.post("/v1/completions", prompt="x", logprobs=0).json()
    assert (whole["choices"][0]["text"], whole["choices"][0]["logprobs"]["tokens"], whole["id"][:5]) == ("a", ["a"], "cmpl-")
    found = events(server, "/v1/completions", prompt="x")
    assert [choice["finish_reason"] for event in found for choice in event["choices"]] == [None, "length"]


def test_other_apis_are_served_too(engine: ScriptedUpstream, server: Front) -> None:
    engine.answers(lambda exchange: exchange.json(said()))
    response = server.post("/v1/responses", input="Hello?").json()
    message = server.post("/v1/messages", messages=QUESTION, max_tokens=5).json()
    assert (response["output"][0]["content"][0]["text"], message["content"][0]["text"]) == ("Hi", "Hi")


def test_tokens_are_the_engines() -> None:
    with scripted_upstream() as engine, front(engine.url) as server:
        engine.answers(lambda exchange: exchange.json({"count": 2, "tokens": [5, 6], "prompt": "ab"}))
        assert server.post("/v1/tokenize", prompt="ab").json()["tokens"] == [5, 6]
        assert server.post("/v1/detokenize", tokens=[5, 6]).json() == {"prompt": "ab"}
        assert server.post("/v1/messages/count_tokens", messages=QUESTION).json() == {"input_tokens": 2}
        assert [exchange.path for exchange in engine.requests] == ["/tokenize", "/detokenize", "/tokenize"]
    with scripted_upstream() as engine, front(engine.url, "openai") as server:
        assert server.error("/v1/tokenize", prompt="ab")[0] == 404
