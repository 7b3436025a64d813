"""POST /v1/responses with the openai client, and POST /v1/messages with the anthropic client, on the real model."""

import json
from typing import Any, Literal

import anthropic
import httpx2
import openai
import pytest
from openai.types.responses import ResponseCompletedEvent, ResponseTextDeltaEvent
from pydantic import BaseModel
from serving.service_process import ServiceProcess

TEXT = "What is Kubernetes?"
QUESTION: Any = [{"role": "user", "content": TEXT}]
CLOUDY = {"type": "output_text", "text": "It is cloudy.", "annotations": []}
GREEDY = {"temperature": 0}
IMAGE = [{"role": "user", "content": [{"type": "image", "source": {}}]}]
SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION: Any = {"type": "function", "name": "get_weather", "description": "The weather of a city", "parameters": SCHEMA, "strict": True}
TOOL: Any = {"name": "get_weather", "description": "The weather of a city", "input_schema": SCHEMA}


class Answer(BaseModel):
    cloudy: bool
    degrees: Literal[10, 20, 30]


def respond(server: ServiceProcess, **fields: Any) -> Any:
    client: Any = server.client()
    return client.responses.create(**{"model": "smol", "input": TEXT, "temperature": 0, "max_output_tokens": 24, "store": False} | fields)


@pytest.fixture
def messages(server: ServiceProcess) -> Any:
    client: Any = anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0)
    return client.messages


def tell(client: Any, **fields: Any) -> Any:
    return client.create(**{"model": "smol", "messages": QUESTION, "max_tokens": 24, "extra_body": GREEDY} | fields)


def test_a_response_has_the_text_of_the_chat_completion(server: ServiceProcess) -> None:
    response = respond(server, instructions="Be brief.", metadata={"a": "b"})
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}]
    chat = server.client().chat.completions.create(model="smol", messages=messages, temperature=0, max_tokens=24)
    assert response.output_text == chat.choices[0].message.content
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert chat.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (chat.usage.prompt_tokens, 24)
    assert (response.store, response.metadata, response.instructions) == (False, {"a": "b"}, "Be brief.")


def test_a_stream_of_events_leads_to_the_same_response(server: ServiceProcess) -> None:
    events = list(respond(server, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:4]] == [
        "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    ]  # fmt: skip
    assert [event.type for event in events[-4:]] == [
        "response.output_text.done", "response.content_part.done", "response.output_item.done", "response.incomplete",
    ]  # fmt: skip
    whole = respond(server)
    assert "".join(event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)) == whole.output_text
    assert events[-1].response.output_text == whole.output_text
    assert events[-1].response.usage.output_tokens == whole.usage.output_tokens
    assert {event.response.id for event in events if hasattr(event, "response")} == {events[0].response.id}


def test_the_parse_helper_and_the_stream_helper_get_their_types(server: ServiceProcess) -> None:
    parsed = server.client().responses.parse(model="smol", input=TEXT, text_format=Answer, temperature=0, store=False)
    assert isinstance(parsed.output_parsed, Answer)
    with server.client().responses.stream(model="smol", input=TEXT, text_format=Answer, temperature=1, store=False) as stream:
        completed = [event for event in stream if event.type == "response.completed"]
        assert isinstance(stream.get_final_response().output_parsed, Answer)
    assert len(completed) == 1


def test_functions_are_called_and_their_results_answered(server: ServiceProcess) -> None:
    response = respond(server, tools=[FUNCTION], tool_choice="required", max_output_tokens=100)
    call = response.output[0]
    assert (call.type, call.name, call.status, response.output_text) == ("function_call", "get_weather", "completed", "")
    assert set(json.loads(call.arguments)) == {"city"}
    events = list(
        respond(server, tools=[FUNCTION], tool_choice={"type": "function", "name": "get_weather"}, stream=True, max_output_tokens=100)
    )
    pieces = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert isinstance(events[-1], ResponseCompletedEvent)
    output: Any = events[-1].response.output[0]
    assert "".join(pieces) == output.arguments
    history = [
        {"role": "user", "content": [{"type": "input_text", "text": TEXT}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        call.model_dump(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "Cloudy"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "It is cloudy.", "annotations": []}],
        },
        {"role": "user", "content": "And tomorrow?"},
    ]
    assert respond(server, input=history, tools=[FUNCTION], tool_choice="none").output_text


def test_logprobs_are_sent_if_they_are_included(server: ServiceProcess) -> None:
    response = respond(server, include=["message.output_text.logprobs"], top_logprobs=2)
    (part,) = response.output[0].content
    assert len(part.logprobs) == 24
    assert len(part.logprobs[0].top_logprobs) == 2


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "a"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input[0].content[0].image_url"),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {"not": {}}}}}, "text.format.schema.not"),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_served_is_refused_by_name(server: ServiceProcess, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        respond(server, **fields)
    assert error.value.param == param


def test_store_is_ignored_and_named(server: ServiceProcess) -> None:
    raw: Any = server.client().responses.with_raw_response
    response = raw.create(model="smol", input=TEXT, max_output_tokens=1, store=True)
    assert response.headers["x-ignored-fields"] == "store"
    assert response.parse().store is False


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/v1/responses", {"input": TEXT, "reasoning": {"effort": "low"}}, ["max_output_tokens", "reasoning.effort"]),
        ("/v1/messages", {"messages": QUESTION, "output_config": {"effort": "low"}}, ["max_tokens", "output_config.effort"]),
    ],
)
def test_fields_that_the_model_does_not_use_have_the_names_of_the_request(
    server: ServiceProcess, path: str, body: dict[str, Any], names: list[str]
) -> None:
    with httpx2.stream("POST", server.url + path, json={"model": "smol", "stream": True, **body, names[0]: 99999}, timeout=60) as response:
        assert (response.status_code, response.headers["x-ignored-fields"]) == (200, ", ".join(names))
    whole = httpx2.post(server.url + path, json={"model": "smol", **body, names[0]: 1}, timeout=60)
    assert (whole.status_code, whole.headers["x-ignored-fields"]) == (200, names[1])


def test_a_message_has_the_text_of_the_chat_completion(server: ServiceProcess, messages: Any) -> None:
    message = tell(messages, system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}])
    conversation: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXT}]
    chat = server.client().chat.completions.create(model="smol", messages=conversation, temperature=0, max_tokens=24)
    assert [(block.type, block.text) for block in message.content] == [("text", chat.choices[0].message.content)]
    assert (message.role, message.stop_reason, message.stop_sequence) == ("assistant", "max_tokens", None)
    assert chat.usage is not None
    usage = message.usage
    assert (usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens) == (chat.usage.prompt_tokens, 24)


def test_a_stream_helper_puts_the_same_message_together(messages: Any) -> None:
    whole = tell(messages)
    with messages.stream(model="smol", messages=QUESTION, extra_body=GREEDY, max_tokens=24) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert (message.content[0].text, message.stop_reason) == (whole.content[0].text, whole.stop_reason)
    assert message.usage.output_tokens == whole.usage.output_tokens
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


def test_a_stop_sequence_is_named(messages: Any) -> None:
    message = tell(messages, stop_sequences=["never", " is"], max_tokens=60)
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " is")


def test_tools_are_used_and_their_results_answered(messages: Any) -> None:
    message = tell(messages, tools=[TOOL], tool_choice={"type": "any"}, max_tokens=100)
    (use,) = message.content[:1]
    assert (use.type, use.name, message.stop_reason, set(use.input)) == ("tool_use", "get_weather", "tool_use", {"city"})
    choice = {"type": "tool", "name": "get_weather"}
    with messages.stream(model="smol", messages=QUESTION, tools=[TOOL], tool_choice=choice, extra_body=GREEDY, max_tokens=100) as stream:
        streamed = stream.get_final_message()
    assert (streamed.stop_reason, set(streamed.content[0].input)) == ("tool_use", {"city"})
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "Cloudy"}]}
    history = [*QUESTION, {"role": "assistant", "content": [use.model_dump()]}, {"role": "user", "content": [result]}]
    assert tell(messages, messages=history, tools=[TOOL], tool_choice={"type": "none"}).content[0].text


def test_the_beginning_of_an_answer_is_continued(messages: Any) -> None:
    history = [{"role": "user", "content": TEXT}, {"role": "assistant", "content": "Kubernetes is"}]
    assert tell(messages, messages=history).content[0].text.startswith(" ")


def test_tokens_are_counted_as_they_are_used(messages: Any) -> None:
    fields: Any = {"messages": [{"role": "user", "content": TEXT}], "system": "Be brief.", "tools": [TOOL]}
    usage = tell(messages, max_tokens=1, **fields).usage
    assert messages.count_tokens(model="smol", **fields).input_tokens == usage.input_tokens + usage.cache_read_input_tokens


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens"),
        ({"model": "other"}, anthropic.NotFoundError, "other"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, anthropic.BadRequestError, "tools[0].type"),
        ({"messages": IMAGE}, anthropic.BadRequestError, "messages[0].content[0]"),
        ({"tools": [{"name": "a", "input_schema": {"not": {}}}]}, anthropic.BadRequestError, "tools[0]"),
    ],
)  # fmt: skip
def test_errors_have_the_shape_of_the_api(messages: Any, fields: dict[str, Any], error: type[anthropic.APIStatusError], text: str) -> None:
    with pytest.raises(error) as raised:
        tell(messages, **fields)
    body: Any = raised.value.body
    assert (body["type"], set(body["error"])) == ("error", {"type", "message"})
    assert body["error"]["type"] == {400: "invalid_request_error", 404: "not_found_error"}[raised.value.status_code]
    assert text in body["error"]["message"]
    assert body["request_id"] == raised.value.response.headers["x-request-id"]


def test_a_schema_that_cannot_be_held_is_refused_with_its_place_in_the_client_s_request(server: ServiceProcess, messages: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"not": {}}}}
    with pytest.raises(openai.BadRequestError) as refused:
        respond(server, text={"format": {"type": "json_schema", "name": "answer", "schema": schema}})
    assert refused.value.param == "text.format.schema.properties.a.not"
    with pytest.raises(anthropic.BadRequestError, match=r"tools\[0\]\.input_schema\.properties\.a\.not.* cannot be held"):
        tell(messages, tools=[TOOL | {"input_schema": schema}])
