"""The messages of a conversation, as clients send them."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from llm_api.protocol.fields import IneffectiveItems, StrictModel, Unsupported, string_or_array
from llm_api.protocol.tools import MAX_CALLS, CalledFunction, FunctionName, MessageToolCall


class TextPart(StrictModel):
    type: Literal["text"]
    text: str


Content = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("<array>")],
    string_or_array("text parts"),
]
Name = Annotated[str | None, Field(description="Needs a model whose chat template uses names in messages of this role.")]


class SystemMessage(StrictModel):
    role: Literal["system", "developer"]
    content: Content
    name: Name = None


class UserMessage(StrictModel):
    role: Literal["user"]
    content: Content
    name: Name = None


class AssistantMessage(StrictModel):
    """An earlier response. Fields that are null or empty in responses are accepted as such, because clients send them back."""

    role: Literal["assistant"]
    tool_calls: Annotated[list[MessageToolCall], Field(max_length=MAX_CALLS, fail_fast=True)] | None = None
    annotations: IneffectiveItems = None
    function_call: CalledFunction | None = None
    audio: Unsupported = None
    refusal: Unsupported = None
    content: Content | None = None
    reasoning_content: str | None = None
    """The reasoning of an earlier answer, for chat templates that read it."""
    reasoning: str | None = None
    """Another name of reasoning_content."""
    thinking: str | None = None
    """Another name of reasoning_content."""
    name: Name = None


class ToolMessage(StrictModel):
    """The result of a call."""

    role: Literal["tool"]
    tool_call_id: str
    content: Content
    name: str | None = None


class FunctionMessage(StrictModel):
    """The result of a function_call of the message before."""

    role: Literal["function"]
    name: FunctionName
    content: Content | None = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")]
