"""Anthropic's official client, on POST /v1/messages."""

from typing import Any

import anthropic
from reporting import API_KEY, MODEL, ROOT_URL, client, shows

api = anthropic.Anthropic(base_url=ROOT_URL, api_key=API_KEY, max_retries=0)
QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
SCHEMA = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"], "additionalProperties": False}
TOOL: Any = {"name": "get_weather", "description": "The weather of a city", "input_schema": SCHEMA}
client("anthropic")


@shows("chat")
def _() -> None:
    message = api.messages.create(model=MODEL, max_tokens=8, system="Be brief.", messages=QUESTION)
    assert message.content[0].text and message.stop_reason == "max_tokens" and message.usage.output_tokens == 8


@shows("stream")
def _() -> None:
    with api.messages.stream(model=MODEL, max_tokens=8, messages=QUESTION) as stream:
        text = "".join(stream.text_stream)
        assert text and stream.get_final_message().content[0].text == text


@shows("tools")
def _() -> None:
    choice: Any = {"type": "any", "disable_parallel_tool_use": True}
    message = api.messages.create(model=MODEL, max_tokens=80, messages=QUESTION, tools=[TOOL], tool_choice=choice)
    call = message.content[-1]
    assert message.stop_reason == "tool_use" and call.input["city"] in ("Paris", "Rome")
    result: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "cloudy"}]}
    history: Any = [*QUESTION, {"role": "assistant", "content": message.content}, result]
    assert api.messages.create(model=MODEL, max_tokens=8, messages=history, tools=[TOOL], tool_choice={"type": "none"}).content


@shows("count tokens")
def _() -> None:
    assert api.messages.count_tokens(model=MODEL, messages=QUESTION).input_tokens > 5


@shows("errors")
def _() -> None:
    try:
        api.messages.create(model="none-such", max_tokens=1, messages=QUESTION)
    except anthropic.NotFoundError as error:
        assert error.body["error"]["type"] == "not_found_error"
    else:
        raise AssertionError("no error")
