"""LiteLLM, as a gateway uses it: provider openai with a base URL."""

from typing import Any, Literal

import litellm
from pydantic import BaseModel
from reporting import API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, client, shows

SERVER: Any = {"api_base": BASE_URL, "api_key": API_KEY, "max_retries": 0}
CHAT: Any = {"model": f"openai/{MODEL}", "messages": [{"role": "user", "content": "What is the weather in Paris?"}], **SERVER}
PARAMETERS = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather", "parameters": PARAMETERS}}


class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    cloudy: bool


client("litellm")


@shows("chat")
def _() -> None:
    assert litellm.completion(**CHAT, max_tokens=8).choices[0].message.content


@shows("stream")
def _() -> None:
    chunks = list(litellm.completion(**CHAT, max_tokens=8, stream=True, stream_options={"include_usage": True}))
    assert any(chunk.choices and chunk.choices[0].delta.content for chunk in chunks)


@shows("structured output")
def _() -> None:
    answer = litellm.completion(**CHAT, max_tokens=60, response_format=Weather)
    Weather.model_validate_json(answer.choices[0].message.content)


@shows("tools")
def _() -> None:
    answer = litellm.completion(**CHAT, max_tokens=80, tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"


@shows("completions")
def _() -> None:
    assert litellm.text_completion(model=f"text-completion-openai/{MODEL}", prompt="Paris is", max_tokens=8, **SERVER).choices[0].text


@shows("responses")
def _() -> None:
    assert litellm.responses(model=f"openai/{MODEL}", input="Hi", max_output_tokens=8, **SERVER).output


@shows("embeddings")
def _() -> None:
    answer = litellm.embedding(model=f"openai/{EMBEDDING_MODEL}", input=["Kubernetes", "Paris"], encoding_format="float", **SERVER)
    assert len(answer.data[1]["embedding"]) == 384


@shows("rerank")
def _() -> None:
    documents = ["Kubernetes runs containers.", "Paris is the capital of France."]
    server = {"api_base": BASE_URL.removesuffix("/v1"), "api_key": API_KEY}
    answer = litellm.rerank(model=f"hosted_vllm/{EMBEDDING_MODEL}", query="capital of France", documents=documents, **server)
    assert answer.results[0]["index"] == 1
