"""The official client for Python, with its helpers."""

import asyncio
import json
from typing import Any, Literal

import openai
from pydantic import BaseModel
from reporting import API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, client, shows

api = openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0)
QUESTION: Any = [{"role": "user", "content": "What is the weather in Paris?"}]


class Weather(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    celsius: bool


client("openai")


@shows("chat")
def _() -> None:
    answer = api.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=8, temperature=0, seed=1, n=2, logprobs=True, top_logprobs=2
    )
    assert len(answer.choices) == 2 and answer.choices[0].message.content
    assert answer.usage and answer.usage.completion_tokens > 8
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


@shows("stream")
def _() -> None:
    stream = api.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=8, stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 8
    with api.chat.completions.stream(model=MODEL, messages=QUESTION, max_tokens=8) as events:
        assert {"chunk", "content.delta"} <= {event.type for event in events}
        assert events.current_completion_snapshot.choices[0].message.content


@shows("async")
def _() -> None:
    async def ask() -> list[str | None]:
        async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as other:
            requests = [other.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=4) for _ in range(4)]
            return [answer.choices[0].message.content for answer in await asyncio.gather(*requests)]

    assert all(asyncio.run(ask()))


@shows("structured output")
def _() -> None:
    parsed = api.chat.completions.parse(model=MODEL, messages=QUESTION, response_format=Weather, max_tokens=60)
    assert isinstance(parsed.choices[0].message.parsed, Weather)
    with api.chat.completions.stream(model=MODEL, messages=QUESTION, response_format=Weather, max_tokens=60) as events:
        assert isinstance(events.get_final_completion().choices[0].message.parsed, Weather)


@shows("tools")
def _() -> None:
    tool = openai.pydantic_function_tool(Weather)
    answer = api.chat.completions.parse(
        model=MODEL, messages=QUESTION, tools=[tool], tool_choice="required", max_tokens=80, parallel_tool_calls=False
    )
    [call] = answer.choices[0].message.tool_calls
    assert isinstance(call.function.parsed_arguments, Weather)
    assert answer.choices[0].finish_reason == "tool_calls"
    history = [*QUESTION, answer.choices[0].message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "cloudy"}]
    assert (
        api.chat.completions.create(model=MODEL, messages=history, tools=[tool], tool_choice="none", max_tokens=4)
        .choices[0]
        .message.content
    )
    named: Any = {"type": "function", "function": {"name": "Weather"}}
    with api.chat.completions.stream(model=MODEL, messages=QUESTION, tools=[tool], tool_choice=named, max_tokens=80) as events:
        last = [event for event in events if event.type == "tool_calls.function.arguments.done"][-1]
    assert isinstance(last.parsed_arguments, Weather)


@shows("completions")
def _() -> None:
    answer = api.completions.create(model=MODEL, prompt=["Kubernetes is", "Paris is"], max_tokens=4, logprobs=1, echo=True)
    assert [choice.text.split()[0] for choice in answer.choices] == ["Kubernetes", "Paris"]
    assert answer.choices[0].logprobs.token_logprobs[0] is None


@shows("responses")
def _() -> None:
    answer = api.responses.create(model=MODEL, input="Hi", max_output_tokens=8, store=False)
    assert answer.output_text and answer.status == "incomplete"
    assert isinstance(api.responses.parse(model=MODEL, input="Hi", text_format=Weather, max_output_tokens=60).output_parsed, Weather)
    with api.responses.stream(model=MODEL, input="Hi", text_format=Weather, max_output_tokens=60) as events:
        assert "response.output_text.delta" in {event.type for event in events}
        assert isinstance(events.get_final_response().output_parsed, Weather)


@shows("embeddings")
def _() -> None:
    one, other = api.embeddings.create(model=EMBEDDING_MODEL, input=["Kubernetes", "Paris"]).data
    assert len(one.embedding) == 384 and one.embedding != other.embedding


@shows("models")
def _() -> None:
    assert {MODEL, EMBEDDING_MODEL} <= {model.id for model in api.models.list()}
    assert api.models.retrieve(MODEL).id == MODEL


@shows("errors")
def _() -> None:
    for kind, request in (
        (openai.NotFoundError, {"model": "none-such"}),
        (openai.BadRequestError, {"temperature": 9}),
    ):
        try:
            api.chat.completions.create(**{"model": MODEL, "messages": QUESTION, "max_tokens": 1, **request})
        except kind as error:
            assert error.param in request, json.dumps(error.body)
        else:
            raise AssertionError(f"no {kind.__name__}")
    try:
        openai.OpenAI(base_url=BASE_URL, api_key="wrong", max_retries=0).models.list()
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key"
