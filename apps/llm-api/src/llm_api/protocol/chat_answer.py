"""Chat completions: the answer, whole and in chunks."""

from typing import Literal

from pydantic import ConfigDict, Field

from llm_api.protocol.response import PromptLogprobs, ResponseModel, Usage, is_none, without_usage

FinishReason = Literal["stop", "length", "tool_calls", "function_call", "content_filter"]


class TopLogprob(ResponseModel):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(TopLogprob):
    """`logprob` is always finite: -9999.0 stands for a probability of 0."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(ResponseModel):
    content: list[TokenLogprob] | None
    refusal: None = None


class FunctionCall(ResponseModel):
    name: str
    arguments: str
    """JSON."""


class ToolCall(ResponseModel):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class AnswerMessage(ResponseModel):
    """`content` is null if the model only reasoned or called tools. The fields after `refusal` are sent if they are not null."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | None = Field(None, exclude_if=is_none)
    reasoning: str | None = Field(None, exclude_if=is_none)
    tool_calls: list[ToolCall] | None = Field(None, exclude_if=is_none)
    function_call: FunctionCall | None = Field(None, exclude_if=is_none)
    """Instead of tool_calls, if the request has `functions`."""


class Choice(ResponseModel):
    index: int
    message: AnswerMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason
    token_ids: list[int] | None = Field(None, exclude_if=is_none)
    stop_reason: str | None = Field(None, exclude_if=is_none)
    """The stop string that ended the choice."""


class ChatCompletion(ResponseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str | None = Field(None, exclude_if=is_none)
    prompt_logprobs: PromptLogprobs | None = Field(None, exclude_if=is_none)
    prompt_token_ids: list[int] | None = Field(None, exclude_if=is_none)


class FunctionCallDelta(ResponseModel):
    name: str | None = Field(None, exclude_if=is_none)
    arguments: str


class ToolCallDelta(ResponseModel):
    """`id`, `type` and the name are sent once, in the first piece of a call."""

    index: int
    id: str | None = Field(None, exclude_if=is_none)
    type: Literal["function"] | None = Field(None, exclude_if=is_none)
    function: FunctionCallDelta


class Delta(ResponseModel):
    """The part of the message that one chunk adds. Fields that are None are not sent."""

    role: Literal["assistant"] | None = Field(None, exclude_if=is_none)
    content: str | None = Field(None, exclude_if=is_none)
    reasoning_content: str | None = Field(None, exclude_if=is_none)
    reasoning: str | None = Field(None, exclude_if=is_none)
    tool_calls: list[ToolCallDelta] | None = Field(None, exclude_if=is_none)
    function_call: FunctionCallDelta | None = Field(None, exclude_if=is_none)


class ChunkChoice(ResponseModel):
    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None = None
    finish_reason: FinishReason | None = None
    token_ids: list[int] | None = Field(None, exclude_if=is_none)
    stop_reason: str | None = Field(None, exclude_if=is_none)
    """The stop string that ended the choice."""


class ChatCompletionChunk(ResponseModel):
    """`usage` is sent only if the request has include_usage, and is null until the last chunk.

    With return_token_ids, `prompt_token_ids` is in the first chunk of each choice.
    """

    model_config = ConfigDict(json_schema_extra=without_usage)

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = Field(None, exclude_if=is_none)
    prompt_token_ids: list[int] | None = Field(None, exclude_if=is_none)
