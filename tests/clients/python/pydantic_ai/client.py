"""pydantic-ai: an agent with typed output, by tools and by schemas, and with tool results in its history."""

import asyncio
from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput, ToolOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from reporting import API_KEY, BASE_URL, MODEL, client, shows

provider = OpenAIProvider(base_url=BASE_URL, api_key=API_KEY)
model = OpenAIChatModel(MODEL, provider=provider)
QUESTION = "What is the weather in Paris?"


class Weather(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    cloudy: bool


client("pydantic-ai-slim")


@shows("chat")
def _() -> None:
    result = Agent(model, system_prompt="Be brief.").run_sync(QUESTION, model_settings={"max_tokens": 8})
    assert result.output and 0 < result.usage.output_tokens <= 8


@shows("stream")
def _() -> None:
    async def stream() -> str:
        async with Agent(model).run_stream(QUESTION, model_settings={"max_tokens": 8}) as result:
            return "".join([text async for text in result.stream_text(delta=True)])

    assert asyncio.run(stream())


@shows("tools")
def _() -> None:
    agent = Agent(model, output_type=ToolOutput(Weather))
    assert isinstance(agent.run_sync(QUESTION, model_settings={"max_tokens": 80}).output, Weather)


@shows("structured output")
def _() -> None:
    agent = Agent(model, output_type=NativeOutput(Weather))
    assert isinstance(agent.run_sync(QUESTION, model_settings={"max_tokens": 80}).output, Weather)


@shows("responses")
def _() -> None:
    assert Agent(OpenAIResponsesModel(MODEL, provider=provider)).run_sync(QUESTION, model_settings={"max_tokens": 16}).output
