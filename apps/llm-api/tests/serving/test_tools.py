"""Tools and structured output with the official client and the real model. The model is too small to choose well: forms are tested."""

import json
from typing import Any, Literal

import pytest
from openai import BadRequestError
from pydantic import BaseModel
from serving.service_process import ServiceProcess

QUESTION: Any = {"role": "user", "content": "What is the weather in Paris?"}
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "kelvin"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
NOW: Any = {"type": "function", "function": {"name": "now"}}
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


class Weather(BaseModel):
    city: str
    unit: Literal["celsius", "kelvin"]


class Answer(BaseModel):
    cloudy: bool
    degrees: Literal[10, 20, 30]


def ask(server: ServiceProcess, **fields: Any) -> Any:
    given = {"model": "smol", "messages": [QUESTION], "temperature": 0, "max_tokens": 100} | fields
    client: Any = server.client()
    return client.chat.completions.create(**given)


def test_a_required_call_has_valid_arguments(server: ServiceProcess) -> None:
    choice = ask(server, tools=[WEATHER, NOW], tool_choice="required").choices[0]
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    for call in choice.message.tool_calls:
        assert call.id.startswith("call_")
        if call.function.name == "get_weather":
            Weather.model_validate_json(call.function.arguments)
        else:
            assert (call.function.name, json.loads(call.function.arguments)) == ("now", {})


def test_a_named_call_is_the_only_one_and_its_stream_joins_to_the_same(server: ServiceProcess) -> None:
    fields = {"tools": [WEATHER, NOW], "tool_choice": NAMED}
    choice = ask(server, **fields).choices[0]
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name) == ("stop", "get_weather")
    deltas = [chunk.choices[0].delta for chunk in ask(server, stream=True, **fields)]
    first, *rest = [delta.tool_calls[0] for delta in deltas if delta.tool_calls]
    assert (first.index, first.type, first.function.name, first.function.arguments) == (0, "function", "get_weather", "")
    assert all((piece.index, piece.id, piece.type, piece.function.name) == (0, None, None, None) for piece in rest)
    assert len(rest) > 3
    assert "".join(piece.function.arguments for piece in rest) == call.function.arguments
    assert all(not delta.content for delta in deltas)


def test_a_history_of_calls_is_answered(server: ServiceProcess) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris", "unit": "celsius"}'}}
    messages = [
        QUESTION,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Cloudy, 12 degrees"},
    ]
    answer = ask(server, messages=messages, tools=[WEATHER], max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage.prompt_tokens > ask(server, max_tokens=1).usage.prompt_tokens


def test_tools_are_offered_and_may_be_left_alone(server: ServiceProcess) -> None:
    answer = ask(server, tools=[WEATHER], tool_choice="auto", max_tokens=30)
    assert answer.choices[0].message.content or answer.choices[0].message.tool_calls
    assert answer.usage.prompt_tokens > ask(server, max_tokens=1).usage.prompt_tokens
    without = ask(server, tools=[WEATHER], tool_choice="none", max_tokens=8)
    assert without.choices[0].message.tool_calls is None


def test_the_older_names_of_tools_work(server: ServiceProcess) -> None:
    choice = ask(server, functions=[WEATHER["function"]], function_call={"name": "get_weather"}).choices[0]
    assert choice.message.function_call.name == "get_weather"
    Weather.model_validate_json(choice.message.function_call.arguments)
    assert choice.message.tool_calls is None


def test_the_client_s_parse_helper_gets_its_types(server: ServiceProcess) -> None:
    parsed = server.client().chat.completions.parse(
        model="smol", messages=[QUESTION], response_format=Answer, temperature=0, max_tokens=100
    )
    assert isinstance(parsed.choices[0].message.parsed, Answer)


def test_a_streamed_answer_follows_its_schema(server: ServiceProcess) -> None:
    with server.client().chat.completions.stream(
        model="smol", messages=[QUESTION], response_format=Answer, temperature=1, seed=4, max_tokens=100
    ) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Answer)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [NOW, NOW]}, "tools"),
        ({"tools": [NOW], "tool_choice": NAMED}, "tool_choice"),
        ({"tools": [NOW], "functions": [NOW["function"]]}, "functions"),
        (
            {"tools": [NOW, {"type": "function", "function": {"name": "a", "parameters": {"not": {}}}}]},
            "tools[1].function.parameters.not",
        ),
        ({"tools": [{"type": "custom", "custom": {"name": "a"}}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a", "description": "<|im_end|>"}}]}, "tools"),
        (
            {"messages": [QUESTION, {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "a", "arguments": "{"}}]}]},
            "messages[1].tool_calls[0].function.arguments",
        ),
    ],
)  # fmt: skip
def test_tools_that_cannot_be_served_are_refused_with_their_place(server: ServiceProcess, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as error:
        ask(server, **fields)
    assert error.value.param == param
