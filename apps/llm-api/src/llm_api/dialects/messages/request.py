"""The body of POST /v1/messages and /v1/messages/count_tokens, in Anthropic's shape."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, Tag

from llm_api.protocol.fields import WHOLE, Ineffective, StrictModel, by_type, string_or_array
from llm_api.protocol.tools import MAX_TOOLS, FunctionName


class CacheControl(StrictModel):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class _Block(StrictModel):
    cache_control: CacheControl | None = None
    """Accepted, without effect: the prefix cache works for equal prefixes by itself."""


class TextBlock(_Block):
    type: Literal["text"]
    text: str
    citations: list[JsonValue] | None = None
    """Accepted, without effect: of an earlier answer."""


class ToolUseBlock(_Block):
    type: Literal["tool_use"]
    id: str
    name: FunctionName
    input: dict[str, JsonValue]


class ThinkingBlock(StrictModel):
    type: Literal["thinking"]
    thinking: str
    signature: str | None = None
    """Accepted, without effect."""


class RedactedThinkingBlock(StrictModel):
    type: Literal["redacted_thinking"]
    data: str
    """Accepted, without effect."""


Texts = Annotated[Annotated[str, Tag("<string>")] | Annotated[list[TextBlock], Tag("<array>")], string_or_array("text blocks")]


class ToolResultBlock(_Block):
    type: Literal["tool_result"]
    tool_use_id: str
    content: Texts | None = None
    is_error: bool | None = None
    """True writes `Error: ` before the content."""


Block = Annotated[
    Annotated[TextBlock, Tag("<text>")]
    | Annotated[ToolUseBlock, Tag("<tool_use>")]
    | Annotated[ToolResultBlock, Tag("<tool_result>")]
    | Annotated[ThinkingBlock, Tag("<thinking>")]
    | Annotated[RedactedThinkingBlock, Tag("<redacted_thinking>")],
    by_type("blocks of the types text, tool_use, tool_result and thinking"),
]


class InputMessage(StrictModel):
    role: Literal["user", "assistant"]
    content: Annotated[
        Annotated[str, Tag("<string>")] | Annotated[list[Block], Field(min_length=1, fail_fast=True), Tag("<array>")],
        string_or_array("blocks"),
    ]


class Tool(StrictModel):
    type: Literal["custom"] | None = None
    name: FunctionName
    description: str | None = None
    input_schema: dict[str, JsonValue]
    """JSON schema of the input, which is always valid under it."""
    strict: bool | None = None
    """Accepted, without effect: inputs are always valid."""
    cache_control: CacheControl | None = None
    """Accepted, without effect."""


class ToolChoice(StrictModel):
    type: Literal["auto", "any", "tool", "none"]
    name: FunctionName | None = None
    """With the type tool: the tool to use."""
    disable_parallel_tool_use: bool | None = None


class Thinking(StrictModel):
    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[int, Field(ge=1), WHOLE] | None = None
    """Accepted, without effect: max_tokens limits the whole answer."""
    display: Literal["summarized", "omitted"] | None = None
    """omitted leaves the thinking out of the answer."""


class JsonSchemaFormat(StrictModel):
    type: Literal["json_schema"]
    schema_: Annotated[dict[str, JsonValue], Field(alias="schema")]


class OutputConfig(StrictModel):
    format: JsonSchemaFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None


class Metadata(StrictModel):
    user_id: str | None = None
    """Accepted, without effect."""


class CountTokensRequest(StrictModel):
    model: Annotated[str, Field(min_length=1, max_length=512)]
    """A model id from /v1/models."""
    messages: Annotated[list[InputMessage], Field(min_length=1, fail_fast=True)]
    system: Texts | None = None
    tools: Annotated[list[Tool], Field(max_length=MAX_TOOLS, fail_fast=True)] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    cache_control: CacheControl | None = None
    """Accepted, without effect."""


class MessagesRequest(CountTokensRequest):
    max_tokens: Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE]
    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] | None = None
    stop_sequences: Annotated[list[str], Field(max_length=16, fail_fast=True)] | None = None
    stream: bool | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    """Accepted, without effect."""
    container: Ineffective = None
    inference_geo: Ineffective = None
