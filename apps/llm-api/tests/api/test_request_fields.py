"""Requests with fields that have no effect are served, and the response names the fields. test_validation.py has REQUEST_FIELDS=strict."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from api.running_server import CHAT, RunningServer, chat_body, key_entry, running_server
from api.scripted_service import MODEL

IGNORED: list[tuple[dict[str, Any], str]] = [
    ({"colour": "red"}, "colour"),
    ({"colour": {"deep": [1, {"a": None}]}, "size": 1}, "colour, size"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ({"verbosity": "low", "moderation": {}}, "verbosity, moderation"),
    ({"store": True, "service_tier": "flex"}, "service_tier, store"),
    ({"messages": [{"role": "user", "content": "hi", "user": "x", "cache": 1}]}, "messages[0].user, messages[0].cache"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi", "x": 1}]}]},
        "messages[0].content[0].x",
    ),
    ({"messages": [{"role": "assistant", "content": "a", "annotations": [{}]}]}, "messages[0].annotations"),
    ({"stream": True, "stream_options": {"include": 1}}, "stream_options.include"),
    ({"a b\r\nset-cookie: é": 1}, "a%20b%0D%0Aset-cookie%3A%20%C3%A9"),
    ({"x" * 100_000: 1}, "x" * 200),
    ({"<x>": 1, "[key]": 2, "<string>": 3}, "%3Cx%3E, [key], %3Cstring%3E"),
    ({"messages": [{"role": "user", "content": "hi", "<x>": "x"}]}, "messages[0].%3Cx%3E"),
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "web_search"}], "tool_choice": "auto"}, "tools[0].type"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"audio": {}}, "audio"),
    ({"web_search_options": {}}, "web_search_options"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages[0].content[0]."),
    ({"colour": "red", "temperature": 3}, "temperature"),
]
ASKED: dict[str, Any] = {"guided_json": {"type": "object"}, "use_beam_search": True, "documents": [{}], "no_repeat_ngram_size": 2}
NOTHING: list[dict[str, Any]] = [{"tools": []}, {"functions": []}, {"stop": []}, {"stop": ""}, {"stop": ["", ""]}, {"top_k": -1}]


@pytest.mark.parametrize(("fields", "names"), IGNORED, ids=lambda value: str(value)[:60])
def test_a_field_without_effect_is_left_out_and_named(http: httpx2.Client, fields: dict[str, Any], names: str) -> None:
    response = http.post(CHAT, json=chat_body(**fields))
    assert response.status_code == 200
    assert response.headers["x-ignored-fields"] == names


def test_completions_have_the_same_rule(http: httpx2.Client) -> None:
    response = http.post("/v1/completions", json={"model": MODEL, "prompt": "a", "messages": [], "stream": True})
    assert (response.status_code, response.headers["x-ignored-fields"]) == (200, "messages")


@pytest.mark.parametrize("mode", ["strict", "warn", "ignore"])
def test_a_field_that_changes_the_output_is_refused_in_every_mode(mode: str) -> None:
    with running_server(request_fields=mode) as server, server.client() as http:
        for fields, param in REFUSED:
            response = http.post(CHAT, json=chat_body(**fields))
            assert (response.status_code, "x-ignored-fields" in response.headers) == (400, False)
            if mode != "strict" or "colour" not in fields:
                assert response.json()["error"]["param"].startswith(param)


def test_strict_refuses_and_ignore_does_not_name() -> None:
    with running_server(request_fields="strict") as server, server.client() as http:
        assert http.post(CHAT, json=chat_body(colour="red")).json()["error"]["code"] == "unknown_parameter"
    with running_server(request_fields="ignore") as server, server.client() as http:
        response = http.post(CHAT, json=chat_body(colour="red"))
        assert (response.status_code, "x-ignored-fields" in response.headers) == (200, False)
        assert "llm_ignored_fields_total{" not in http.get("/metrics").text


def test_a_key_may_have_its_own_mode() -> None:
    keys = f"{key_entry('app', 'app-key')},{key_entry('tests', 'tests-key')}:strict,{key_entry('agent', 'agent-key')}:ignore"
    with running_server(api_keys=keys) as server, server.client() as http:

        def send(key: str) -> httpx2.Response:
            return http.post(CHAT, json=chat_body(colour="red"), headers={"authorization": f"Bearer {key}"})

        assert send("tests-key").json()["error"]["code"] == "unknown_parameter"
        assert "x-ignored-fields" not in send("agent-key").headers
        assert send("app-key").headers["x-ignored-fields"] == "colour"


@pytest.mark.parametrize("fields", NOTHING, ids=str)
def test_values_that_ask_for_nothing_are_not_named(http: httpx2.Client, fields: dict[str, Any]) -> None:
    response = http.post(CHAT, json=chat_body(**fields))
    assert (response.status_code, "x-ignored-fields" in response.headers) == (200, False)


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with running_server() as running:
        yield running


def test_the_metric_counts_names_that_the_api_knows(server: RunningServer) -> None:
    with server.client() as http:
        http.post(CHAT, json=chat_body(colour=1, size=2, store=True))
        messages = [{"role": "assistant", "content": "a", "annotations": [{}]}, {"role": "assistant", "content": "a", "annotations": [{}]}]
        http.post(CHAT, json=chat_body(messages=messages))
        lines = [line for line in http.get("/metrics").text.splitlines() if line.startswith("llm_ignored_fields_total")]
    assert sorted(lines) == [
        'llm_ignored_fields_total{field="messages[].annotations"} 2.0',
        'llm_ignored_fields_total{field="store"} 1.0',
        'llm_ignored_fields_total{field="unknown"} 2.0',
    ]


def test_a_history_whose_every_message_has_unknown_fields_is_served(http: httpx2.Client) -> None:
    turn = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "a", "cache_control": {}}, {"type": "text", "text": "b", "mark": 1}],
            "id": 1,
        },
        {"role": "assistant", "content": "c", "reasoning_content": "d", "annotations": [{}], "id": "2", "created": 3},
    ]
    response = http.post(CHAT, json=chat_body(messages=300 * turn))
    assert response.status_code == 200
    names = response.headers["x-ignored-fields"].split(", ")
    parts = ["messages[0].content[0].cache_control", "messages[0].content[1].mark"]
    assert sorted(names) == sorted(["messages[0].id", *parts, "messages[1].annotations", "messages[1].created", f"and {1800 - 5} more"])


def test_unknown_fields_are_left_out_however_deep_they_are(http: httpx2.Client) -> None:
    """openai's parse() adds some to the message that a client sends back."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}", "parsed_arguments": {"a": 1}}}
    turn = [
        {"role": "assistant", "content": None, "parsed": 1, "tool_calls": [call] * 3},
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ]
    tools = [{"type": "function", "function": {"name": f"f{number}", "colour": "red"}} for number in range(100)]
    response = http.post(CHAT, json=chat_body(messages=50 * turn, tools=tools))
    assert response.status_code == 200, response.text
    names = ["messages[0].tool_calls[0].function.parsed_arguments", "messages[0].parsed", "tools[0].function.colour", "and 297 more"]
    assert sorted(response.headers["x-ignored-fields"].split(", ")) == sorted(names)


def test_items_of_a_response_s_input_may_have_unknown_fields(http: httpx2.Client) -> None:
    items = [{"role": "user", "content": "a", "colour": 1}] * 100
    response = http.post("/v1/responses", json={"model": MODEL, "input": items})
    assert response.status_code == 200, response.text


def test_a_field_of_one_role_stays_in_messages_of_another(http: httpx2.Client) -> None:
    messages = [{"role": "user", "content": "a", "refusal": "x"}, {"role": "assistant", "content": "b", "refusal": "x"}]
    error = http.post(CHAT, json=chat_body(messages=messages)).json()["error"]
    assert (error["param"], error["code"]) == ("messages[1].refusal", "unsupported_parameter")


def test_a_refused_request_is_not_counted_as_served(server: RunningServer) -> None:
    with server.client() as http:
        assert http.post(CHAT, json=chat_body(colour=1, temperature=9)).status_code == 400
        assert "llm_ignored_fields_total{" not in http.get("/metrics").text


def test_an_image_in_a_message_is_refused_however_it_is_sent(http: httpx2.Client) -> None:
    error = http.post(CHAT, json=chat_body(messages=[{"role": "user", "content": "a", "images": ["x"]}])).json()["error"]
    assert (error["param"], error["code"]) == ("messages[0].images", "unsupported_parameter")


def test_a_long_list_is_cut(http: httpx2.Client) -> None:
    header = http.post(CHAT, json=chat_body() | {f"field{number}": 0 for number in range(900)}).headers["x-ignored-fields"]
    assert header.startswith("field0, field1, ") and header.endswith(" more")
    assert len(header) < 1500
    assert int(header.split()[-2]) + header.count("field") == 900


def test_the_official_client_may_send_more(shared_server: RunningServer) -> None:
    response = shared_server.openai().chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "hi"}], verbosity="low", extra_body={"thinking": {"type": "disabled"}}
    )
    assert response.headers["x-ignored-fields"] == "verbosity, thinking"
    assert response.parse().choices[0].message.content


@pytest.mark.parametrize("mode", ["strict", "warn", "ignore"])
def test_a_field_of_another_server_that_changes_the_output_is_refused_by_name(mode: str) -> None:
    with running_server(request_fields=mode) as server, server.client() as http:
        for field, value in ASKED.items():
            error = http.post(CHAT, json=chat_body() | {field: value}).json()["error"]
            assert (error["param"], field in error["message"]) == (field, True)


def test_a_field_of_another_server_with_the_value_that_changes_nothing_is_ignored(http: httpx2.Client) -> None:
    response = http.post(CHAT, json=chat_body(guided_json=None, documents=[], use_beam_search=False, mirostat=0, typical_p=1.0))
    assert response.headers["x-ignored-fields"] == "guided_json, documents, use_beam_search, mirostat, typical_p"
