"""The body of POST /v1/responses. Responses are not stored, so fields that need an earlier one are refused."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, Tag, WithJsonSchema

from llm_api.protocol.fields import (
    WHOLE,
    Ineffective,
    IneffectiveTrue,
    MetadataKey,
    MetadataValue,
    StrictModel,
    Unsupported,
    by_type,
    ineffective,
    string_or_array,
)
from llm_api.protocol.structured_output import JsonObjectFormat, TextFormat
from llm_api.protocol.tools import CHOICE, MAX_TOOLS, FunctionName

Included = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]


class TextPart(StrictModel):
    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: list[JsonValue] | None = None
    """Accepted, without effect: a part of an earlier response."""
    logprobs: list[JsonValue] | None = None
    """Accepted, without effect: a part of an earlier response."""


class ReasoningPart(StrictModel):
    type: Literal["reasoning_text", "summary_text"]
    text: str


Parts = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("<array>")],
    string_or_array("text parts"),
]


class _Item(StrictModel):
    id: str | None = None
    """Accepted, without effect: of an earlier response."""
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    """Accepted, without effect: of an earlier response."""


class MessageItem(_Item):
    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Parts
    phase: str | None = None
    """Accepted, without effect: of an earlier response."""


class FunctionCallItem(_Item):
    type: Literal["function_call"]
    call_id: str
    name: FunctionName
    arguments: str


class FunctionCallOutputItem(_Item):
    type: Literal["function_call_output"]
    call_id: str
    output: Parts


class ReasoningItem(_Item):
    type: Literal["reasoning"]
    summary: list[ReasoningPart] | None = None
    content: list[ReasoningPart] | None = None
    encrypted_content: str | None = None
    """Accepted, without effect."""


InputItem = Annotated[
    Annotated[MessageItem, Tag("<message>")]
    | Annotated[FunctionCallItem, Tag("<function_call>")]
    | Annotated[FunctionCallOutputItem, Tag("<function_call_output>")]
    | Annotated[ReasoningItem, Tag("<reasoning>")],
    by_type("items of the types message, function_call, function_call_output and reasoning", default="message"),
]


class JsonSchemaText(StrictModel):
    type: Literal["json_schema"]
    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class TextOptions(StrictModel):
    format: Annotated[TextFormat | JsonObjectFormat | JsonSchemaText, Field(discriminator="type")] | None = None
    verbosity: Ineffective = None


class FunctionTool(StrictModel):
    type: Literal["function"]
    name: FunctionName
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    strict: bool | None = None


class NamedFunction(StrictModel):
    type: Literal["function"]
    name: FunctionName


class AllowedTools(StrictModel):
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedFunction], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<string>")]
    | Annotated[Annotated[NamedFunction | AllowedTools, Field(discriminator="type")], Tag("<object>")],
    CHOICE,
]


class ReasoningOptions(StrictModel):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    """Accepted, without effect: the reasoning itself is sent."""
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
    """Accepted, without effect: the older name of summary."""


class StreamOptions(StrictModel):
    include_obfuscation: bool | None = None
    """Accepted, without effect."""


def _not_auto(value: str) -> str:
    if value == "auto":
        raise ineffective()
    return value


class ResponsesRequest(StrictModel):
    model: Annotated[str, Field(min_length=1, max_length=512)]
    """A model id from /v1/models."""
    input: Annotated[
        Annotated[str, Tag("<string>")] | Annotated[list[InputItem], Field(min_length=1, fail_fast=True), Tag("<array>")],
        string_or_array("items"),
    ]
    instructions: str | None = None
    """A system message before the input."""
    max_output_tokens: Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    """Needs message.output_text.logprobs in include."""
    include: list[Included] | None = None
    """Only message.output_text.logprobs has an effect: the others are about tools that this server does not have."""
    text: TextOptions | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: ReasoningOptions | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    """Returned with the response."""
    truncation: Annotated[Literal["auto", "disabled"], AfterValidator(_not_auto), WithJsonSchema({"const": "disabled"})] | None = None
    """An input that is too long is refused."""
    store: IneffectiveTrue | None = None
    """Responses are not stored."""
    background: Literal[False] | None = None
    user: str | None = None
    """Accepted, without effect."""
    safety_identifier: str | None = None
    """Accepted, without effect."""
    prompt_cache_key: str | None = None
    """Accepted, without effect."""
    prompt_cache_retention: Literal["in-memory", "in_memory", "24h"] | None = None
    """Accepted, without effect."""
    service_tier: Literal["auto", "default"] | None = None
    """Accepted, without effect."""
    max_tool_calls: Ineffective = None
    previous_response_id: Unsupported = None
    conversation: Unsupported = None
    prompt: Unsupported = None
