"""Functions that the model may call: definitions, the choice among them, and calls in earlier messages."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, JsonValue, Tag

from llm_api.protocol.fields import StrictModel, string_or_object

MAX_TOOLS = 128
MAX_CALLS = 128  # in one message
FunctionName = Annotated[str, Field(pattern="^[a-zA-Z0-9_.-]{1,64}$")]


class FunctionDefinition(StrictModel):
    name: FunctionName
    description: str | None = None
    parameters: dict[str, JsonValue] | None = None
    """JSON schema of the arguments, which are always valid under it."""
    strict: bool | None = None
    """Accepted, without effect: arguments are always valid."""


class FunctionTool(StrictModel):
    type: Literal["function"]
    function: FunctionDefinition


Tools = Annotated[list[FunctionTool], Field(max_length=MAX_TOOLS, fail_fast=True)]
Functions = Annotated[list[FunctionDefinition], Field(max_length=MAX_TOOLS, fail_fast=True)]


class FunctionReference(StrictModel):
    name: FunctionName


class NamedTool(StrictModel):
    type: Literal["function"]
    function: FunctionReference


class AllowedTools(StrictModel):
    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=MAX_TOOLS, fail_fast=True)]


class AllowedToolsChoice(StrictModel):
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


CHOICE = string_or_object("should be a string or an object")
ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<string>")]
    | Annotated[Annotated[NamedTool | AllowedToolsChoice, Field(discriminator="type")], Tag("<object>")],
    CHOICE,
]
FunctionChoice = Annotated[
    Annotated[Literal["none", "auto"], Tag("<string>")] | Annotated[FunctionReference, Tag("<object>")],
    CHOICE,
]


class CalledFunction(StrictModel):
    name: FunctionName
    arguments: str
    """JSON."""


class MessageToolCall(StrictModel):
    """A call of an earlier answer, as clients send it back."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None
    """Accepted, without effect: some clients keep it from a stream."""


@dataclass(frozen=True, slots=True)
class CallRule:
    """What a request asks for. `mode` required: at least one call; named: exactly one, of the only allowed function."""

    mode: Literal["auto", "required", "named"]
    functions: tuple[FunctionDefinition, ...]  # that may be called
    paths: tuple[str, ...]  # of their parameters in the request
    parallel: bool
