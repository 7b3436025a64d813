"""LlamaIndex, with its classes for OpenAI-compatible servers."""

from typing import Literal

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from reporting import API_KEY, BASE_URL, EMBEDDING_MODEL, MODEL, client, shows


class Weather(BaseModel):
    """The weather of a city."""

    city: Literal["Paris", "Rome"]
    cloudy: bool


def model(max_tokens: int, **options: object) -> OpenAILike:
    server = {"api_base": BASE_URL, "api_key": API_KEY, "model": MODEL, "max_retries": 0}
    return OpenAILike(max_tokens=max_tokens, is_chat_model=True, is_function_calling_model=True, context_window=8192, **server, **options)


QUESTION = [ChatMessage(role="user", content="What is the weather in Paris?")]
client("llama-index-llms-openai-like")


@shows("chat")
def _() -> None:
    assert model(8).chat(QUESTION).message.content


@shows("stream")
def _() -> None:
    assert list(model(8).stream_chat(QUESTION))[-1].message.content


@shows("completions")
def _() -> None:
    assert OpenAILike(api_base=BASE_URL, api_key=API_KEY, model=MODEL, max_tokens=8, is_chat_model=False).complete("Paris is").text


@shows("structured output")
def _() -> None:
    structured = model(60, should_use_structured_outputs=True).as_structured_llm(Weather)
    assert isinstance(structured.chat(QUESTION).raw, Weather)


@shows("tools")
def _() -> None:
    def get_weather(city: Literal["Paris", "Rome"]) -> str:
        """The weather of a city."""
        return "cloudy"

    answer = model(80).chat_with_tools([FunctionTool.from_defaults(get_weather)], user_msg="The weather in Paris?", tool_required=True)
    [call, *_rest] = model(80).get_tool_calls_from_response(answer)
    assert call.tool_kwargs["city"] in ("Paris", "Rome")


@shows("embeddings")
def _() -> None:
    embedding = OpenAILikeEmbedding(model_name=EMBEDDING_MODEL, api_base=BASE_URL, api_key=API_KEY)
    assert len(embedding.get_text_embedding("Kubernetes")) == 384
