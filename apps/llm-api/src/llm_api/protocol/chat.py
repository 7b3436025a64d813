"""Chat completions: the request."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, model_validator
from pydantic.config import JsonDict

from llm_api.protocol.chat_messages import Message
from llm_api.protocol.fields import WHOLE, Ineffective, IneffectiveTrue, OnlyEmpty, Unsupported, invalid, only_with
from llm_api.protocol.request import STREAM_OPTIONS_NEED_STREAM, GenerationRequest
from llm_api.protocol.structured_output import ResponseFormat

QUESTION: JsonDict = {"role": "user", "content": "What is Kubernetes?"}


class ChatCompletionRequest(GenerationRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "smollm2-135m-instruct", "messages": [QUESTION]},
                {"model": "smollm2-135m-instruct", "messages": [QUESTION], "stream": True, "stream_options": {"include_usage": True}},
            ],
            "allOf": [STREAM_OPTIONS_NEED_STREAM, only_with("top_logprobs", "integer", "logprobs")],
        }
    )

    messages: Annotated[list[Message], Field(min_length=1, fail_fast=True)]
    max_tokens: Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE] | None = None
    """Older name of max_completion_tokens, which takes precedence."""
    max_completion_tokens: Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    """Needs logprobs."""
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    """Needs a model whose chat template has it."""
    enable_thinking: bool | None = None
    """Needs a model whose chat template has it. Not in OpenAI's API."""
    chat_template_kwargs: Annotated[dict[str, JsonValue], Field(max_length=32)] | None = None
    """Variables of the model's chat template. Not in OpenAI's API."""
    add_generation_prompt: bool | None = None
    """False leaves out the beginning of the assistant's message. Not in OpenAI's API."""
    continue_final_message: bool | None = None
    """Continue the last message, which must be the assistant's, instead of answering it. Not in OpenAI's API."""
    store: IneffectiveTrue | None = None
    """Accepted, without effect."""
    parallel_tool_calls: bool | None = None
    """Accepted, without effect."""
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"] | None = None
    """Accepted, without effect."""
    response_format: ResponseFormat | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1, fail_fast=True)] | None = None
    tools: OnlyEmpty = None
    functions: OnlyEmpty = None
    tool_choice: Literal["none"] | None = None  # after `tools`, so that an error is about the cause
    function_call: Literal["none"] | None = None
    audio: Unsupported = None
    web_search_options: Unsupported = None
    prediction: Ineffective = None
    verbosity: Ineffective = None
    moderation: Ineffective = None
    prompt_cache_options: Ineffective = None

    @model_validator(mode="after")
    def _top_logprobs_need_logprobs(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise invalid("top_logprobs", "is only allowed when 'logprobs' is true")
        return self

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.structured_outputs is not None and self.response_format is not None and self.response_format.type != "text":
            raise invalid("structured_outputs", "excludes 'response_format'")
        return self

    @model_validator(mode="after")
    def _last_message_can_be_continued(self) -> Self:
        if self.continue_final_message and self.messages[-1].role != "assistant":
            raise invalid("continue_final_message", "needs a last message of the role assistant")
        if self.continue_final_message and self.add_generation_prompt:
            raise invalid("continue_final_message", "excludes 'add_generation_prompt'")
        return self

    @property
    def template_variables(self) -> dict[str, JsonValue]:
        """Variables of the model's chat template."""
        fields = {"reasoning_effort": self.reasoning_effort, "enable_thinking": self.enable_thinking}
        return {name: value for name, value in fields.items() if value is not None} | (self.chat_template_kwargs or {})

    @property
    def token_limit(self) -> int | None:
        """The maximum number of completion tokens. None means as many as fit into the context."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
