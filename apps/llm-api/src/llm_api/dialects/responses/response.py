"""The response of POST /v1/responses, and its output items."""

from typing import Any, Literal

from pydantic import ConfigDict, Field, JsonValue

from llm_api.protocol.response import ResponseModel

Status = Literal["in_progress", "completed", "incomplete", "failed"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class OutputText(ResponseModel):
    type: Literal["output_text"] = "output_text"
    text: str = ""
    annotations: list[JsonValue] = Field(default_factory=list)
    logprobs: list[JsonValue] = Field(default_factory=list)


class ReasoningText(ResponseModel):
    type: Literal["reasoning_text"] = "reasoning_text"
    text: str = ""


class OutputMessage(ResponseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    status: ItemStatus = "in_progress"
    content: list[OutputText] = Field(default_factory=list)


class OutputReasoning(ResponseModel):
    id: str
    type: Literal["reasoning"] = "reasoning"
    summary: list[JsonValue] = Field(default_factory=list)
    status: ItemStatus = "in_progress"
    content: list[ReasoningText] = Field(default_factory=list)


class OutputFunctionCall(ResponseModel):
    id: str
    type: Literal["function_call"] = "function_call"
    status: ItemStatus = "in_progress"
    call_id: str
    name: str
    arguments: str = ""


OutputItem = OutputMessage | OutputReasoning | OutputFunctionCall


class IncompleteDetails(ResponseModel):
    reason: Literal["max_output_tokens", "content_filter"]


class ResponseUsage(ResponseModel):
    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class Response(ResponseModel):
    """Fields of the request are repeated, with the defaults in place of null."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    status: Status
    background: Literal[False] = False
    error: None = None
    incomplete_details: IncompleteDetails | None = None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: None = None
    reasoning: dict[str, str | None]
    service_tier: Literal["default"] = "default"
    store: Literal[False] = False
    temperature: float
    text: dict[str, JsonValue]
    tool_choice: JsonValue
    tools: list[dict[str, JsonValue]]
    top_logprobs: int
    top_p: float
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUsage | None = None
    user: str | None = None


class ResponseEvent(ResponseModel):
    """An event of a stream. Its other fields depend on the type, as in OpenAI's API."""

    model_config = ConfigDict(extra="allow")

    type: str
    sequence_number: int

    @classmethod
    def of(cls, kind: str, number: int, **fields: Any) -> "ResponseEvent":
        return cls.model_validate({"type": kind, "sequence_number": number, **fields})
