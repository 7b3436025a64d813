"""POST /v1/responses and /v1/messages over HTTP: events with names, and errors in the shape of each API."""

import json
import re
from typing import Any

import httpx2
import pytest
from api.running_server import running_server
from api.scripted_service import MODEL, Script, ScriptedService

from llm_api.dialects.field_names import MESSAGE_FIELDS, RESPONSE_FIELDS, FieldNames
from llm_api.protocol.errors import EngineFailed, InvalidRequest

RESPONSE: dict[str, Any] = {"model": MODEL, "input": "hi", "stream": True}
MESSAGE: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9, "stream": True}
TWICE = [{"type": "function", "name": "f"}] * 2


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and data."""
    found = []
    for event in text.split("\n\n"):
        if event:
            name, data = event.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


@pytest.mark.parametrize(
    ("path", "body", "last"),
    [("/v1/responses", RESPONSE, "response.completed"), ("/v1/messages", MESSAGE, "message_stop")],
)
def test_events_have_the_names_of_their_types(http: httpx2.Client, path: str, body: dict[str, Any], last: str) -> None:
    response = http.post(path, json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    found = events(response.text)
    assert all(name == data["type"] for name, data in found)
    assert found[-1][0] == last
    assert "[DONE]" not in response.text


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [("/v1/responses", RESPONSE, ("message",)), ("/v1/messages", MESSAGE, ("error", "message"))],
)
def test_a_late_error_is_an_event(path: str, body: dict[str, Any], message: tuple[str, ...]) -> None:
    service = ScriptedService()
    service.scripts["hi"] = Script(fail_after=2, error=EngineFailed("The engine failed."))
    with running_server(service) as server:
        name, data = events(httpx2.post(server.url + path, json=body).text)[-1]
    assert (name, data["type"]) == ("error", "error")
    assert path != "/v1/responses" or data["sequence_number"] > 1
    value: Any = data
    for key in message:
        value = value[key]
    assert value == "The engine failed."


@pytest.mark.parametrize(("path", "body"), [("/v1/responses", RESPONSE), ("/v1/messages", MESSAGE)])
def test_an_early_error_has_its_status(path: str, body: dict[str, Any]) -> None:
    service = ScriptedService()
    service.scripts["hi"] = Script(fail_after=0, error=EngineFailed("The engine failed."))
    with running_server(service) as server:
        response = httpx2.post(server.url + path, json=body)
    assert (response.status_code, response.json()["error"]["message"]) == (500, "The engine failed.")


@pytest.mark.parametrize(("path", "body"), [("/v1/responses", RESPONSE), ("/v1/messages", MESSAGE)])
def test_a_client_that_leaves_ends_the_generation(path: str, body: dict[str, Any]) -> None:
    service = ScriptedService()
    service.scripts["hi"] = Script(hold_after=2)
    with running_server(service) as server:
        with httpx2.stream("POST", server.url + path, json=body) as response:
            next(response.iter_lines())
        assert service.ended.get(timeout=10) == "cancelled"


@pytest.mark.parametrize(
    ("path", "key", "body", "status", "kind"),
    [
        ("/v1/messages", "", MESSAGE, 401, "authentication_error"),
        ("/v1/messages", "key", {**MESSAGE, "model": "other"}, 404, "not_found_error"),
        ("/v1/messages/count_tokens", "key", {"model": MODEL}, 400, "invalid_request_error"),
        ("/v1/messages", "key", {**MESSAGE, "messages": [{"role": "user", "content": "x" * 2000}]}, 413, "request_too_large"),
    ],
)
def test_errors_of_the_middleware_have_anthropic_s_shape(path: str, key: str, body: dict[str, Any], status: int, kind: str) -> None:
    hashed = "name:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"
    with running_server(api_keys=hashed, max_body_size=1000) as server:
        response = httpx2.post(server.url + path, json=body, headers={"x-api-key": key})
    error = response.json()
    assert (response.status_code, error["type"], error["error"]["type"]) == (status, "error", kind)
    assert error["request_id"] == response.headers["x-request-id"]


def test_tokens_of_messages_are_counted(http: httpx2.Client) -> None:
    body = {"model": MODEL, "messages": MESSAGE["messages"], "max_tokens": 5}
    response = http.post("/v1/messages/count_tokens", json=body)
    assert response.json() == {"input_tokens": 7}
    assert response.headers["x-ignored-fields"] == "max_tokens"


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/responses", RESPONSE | {"tools": TWICE}, "tools"),
        ("/v1/responses", RESPONSE | {"include": ["all"]}, "include[0]"),
        ("/v1/messages", MESSAGE | {"tools": [{"name": "f", "input_schema": {}}] * 2}, "tools"),
    ],
)
def test_an_error_names_the_field_of_the_client(http: httpx2.Client, path: str, body: dict[str, Any], param: str) -> None:
    error = http.post(path, json=body).json()["error"]
    assert f"'{param}'" in error["message"]
    assert error.get("param", param) == param


@pytest.mark.parametrize(
    ("names", "chat", "own"),
    [
        (RESPONSE_FIELDS, "response_format.json_schema.schema.properties.a.not", "text.format.schema.properties.a.not"),
        (RESPONSE_FIELDS, "tools[1].function.parameters.properties.function", "tools[1].parameters.properties.function"),
        (RESPONSE_FIELDS, "messages[2].content", "input"),
        (RESPONSE_FIELDS, "tool_choice", "tool_choice"),
        (MESSAGE_FIELDS, "response_format.json_schema.schema.not", "output_config.format.schema.not"),
        (MESSAGE_FIELDS, "tools[0].function.parameters.not", "tools[0].input_schema.not"),
        (MESSAGE_FIELDS, "max_completion_tokens", "max_tokens"),
    ],
)
def test_fields_of_chat_completions_have_the_dialect_s_names(names: FieldNames, chat: str, own: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(f"'{own}' is bad")) as error, names.in_errors():
        raise InvalidRequest(f"'{chat}' is bad", param=chat)
    assert error.value.param == own


def test_the_event_of_a_timeout_continues_the_numbers() -> None:
    service = ScriptedService()
    service.scripts["hi"] = Script(hold_after=2)
    with running_server(service, request_timeout=0.5) as server:
        found = [data for _, data in events(httpx2.post(server.url + "/v1/responses", json=RESPONSE).text)]
    assert found[-1]["type"] == "error"
    assert [data["sequence_number"] for data in found] == list(range(len(found)))


def test_an_input_is_not_truncated(http: httpx2.Client) -> None:
    response = http.post("/v1/responses", json=RESPONSE | {"stream": False, "truncation": "auto"})
    assert response.json()["truncation"] == "disabled"
    assert response.headers["x-ignored-fields"] == "truncation"
