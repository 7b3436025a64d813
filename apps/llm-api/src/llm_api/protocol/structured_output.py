"""What holds an answer to a form: response_format, and structured_outputs as vLLM names it."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, Tag, model_validator
from pydantic.config import JsonDict

from llm_api.protocol.fields import StrictModel, invalid, string_or_object

MAX_CHOICES = 4096
EXCLUSIVE = ("json", "regex", "choice", "grammar", "json_object")
ONE_OF_THEM: JsonDict = {"oneOf": [{"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in EXCLUSIVE]}

Schema = dict[str, JsonValue]


SchemaOrText = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[Schema, Tag("<object>")],
    string_or_object("should be a JSON schema, as an object or as text"),
]


class TextFormat(StrictModel):
    type: Literal["text"]


class JsonObjectFormat(StrictModel):
    type: Literal["json_object"]


class JsonSchema(StrictModel):
    name: Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    """The answer is always valid under it, `strict` or not."""
    strict: bool | None = None


class JsonSchemaFormat(StrictModel):
    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StructuredOutputs(StrictModel):
    """Exactly one of json, regex, choice, grammar and json_object."""

    model_config = ConfigDict(json_schema_extra=ONE_OF_THEM)

    json_: Annotated[SchemaOrText | None, Field(alias="json")] = None
    """A JSON schema, as an object or as text."""
    regex: Annotated[str, Field(min_length=1)] | None = None
    """The whole text matches it. The syntax is that of Rust's regex crate, without look-around."""
    choice: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=MAX_CHOICES, fail_fast=True)] | None = None
    grammar: Annotated[str, Field(min_length=1)] | None = None
    """A context-free grammar in Lark or GBNF syntax."""
    json_object: Literal[True] | None = None
    whitespace_pattern: str | None = None
    """Whitespace between the tokens of JSON, as a regular expression. By default a space, or a line break with up to 20 spaces or tabs."""
    disable_any_whitespace: bool | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        values: dict[str, Any] = {"json": self.json_} | {name: getattr(self, name) for name in EXCLUSIVE[1:]}
        given = [name for name, value in values.items() if value is not None]
        if len(given) != 1:
            raise invalid("structured_outputs", f"needs exactly one of {', '.join(EXCLUSIVE)}, but has {' and '.join(given) or 'none'}")
        return self
