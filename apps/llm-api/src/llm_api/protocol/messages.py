"""The messages of a conversation, as clients send them."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from llm_api.protocol.sampling import StrictModel, string_or_array
from llm_api.protocol.unsupported import Unsupported


class TextPart(StrictModel):
    type: Literal["text"]
    text: str


Content = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[list[TextPart], Field(min_length=1, fail_fast=True), Tag("<array>")],
    string_or_array("text parts"),
]


class SystemMessage(StrictModel):
    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(StrictModel):
    role: Literal["user"]
    content: Content
    name: str | None = None


class AssistantMessage(StrictModel):
    """An earlier answer. The fields that answers carry as null are accepted as null."""

    role: Literal["assistant"]
    tool_calls: Unsupported = None
    function_call: Unsupported = None
    audio: Unsupported = None
    refusal: Unsupported = None
    content: Content
    name: str | None = None


class ToolMessage(StrictModel):
    role: Literal["tool"]
    content: Content
    tool_call_id: str


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]
