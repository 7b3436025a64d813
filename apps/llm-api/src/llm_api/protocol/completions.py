"""Text completions: request, and the response that is also the stream's chunk."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from llm_api.protocol.response import AnswerModel, without_usage
from llm_api.protocol.sampling import STREAM_OPTIONS_NEED_STREAM, WHOLE, GenerationRequest, invalid, whole_number
from llm_api.protocol.unsupported import Unsupported
from llm_api.protocol.usage import Usage

DEFAULT_MAX_TOKENS = 16
BEST_OF_NEEDS_N: JsonDict = {
    "if": {"properties": {"best_of": {"const": 1}}, "required": ["best_of"]},
    "then": {"properties": {"n": {"enum": [1, None]}}},
}


def _whole_numbers(value: Any) -> Any:
    return [whole_number(item) for item in value] if isinstance(value, list) and float in set(map(type, value)) else value


TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
TokenIds = Annotated[list[TokenId], Field(min_length=1, fail_fast=True), BeforeValidator(_whole_numbers)]


def _prompt_kind(value: Any) -> str | None:
    """The first element tells the three kinds of array apart."""
    if isinstance(value, str):
        return "<string>"
    if not isinstance(value, list):
        return None
    first = value[0] if value else ""
    return "<arrays>" if isinstance(first, list) else "<strings>" if isinstance(first, str) else "<tokens>"


Text = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1})]
"""Empty it is a prompt only with a model whose tokenizer begins texts with a token of its own."""
Prompt = Annotated[
    Annotated[Text, Tag("<string>")]
    | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("<strings>")]
    | Annotated[TokenIds, Tag("<tokens>")]
    | Annotated[list[TokenIds], Field(min_length=1, fail_fast=True), Tag("<arrays>")],
    Discriminator(
        _prompt_kind,
        custom_error_type="invalid_type",
        custom_error_message="should be a string, an array of strings, an array of token ids or an array of such arrays",
    ),
]


class CompletionRequest(GenerationRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"model": "smollm2-135m-instruct", "prompt": "Kubernetes is", "max_tokens": 16},
                {"model": "smollm2-135m-instruct", "prompt": "Kubernetes is", "stream": True, "stream_options": {"include_usage": True}},
            ],
            "allOf": [STREAM_OPTIONS_NEED_STREAM, BEST_OF_NEEDS_N],
        }
    )

    prompt: Prompt
    max_tokens: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] | None = None
    """Default 16. 0 makes no token: with echo and logprobs it scores the prompt."""
    echo: bool | None = None
    """Begin the text with the prompt."""
    logprobs: Annotated[int, Field(ge=0, le=5), WHOLE] | None = None
    best_of: Annotated[int, Field(ge=1), WHOLE, WithJsonSchema({"type": "integer", "const": 1})] | None = None
    """Only the value of n, which changes nothing."""
    suffix: Unsupported = None

    @model_validator(mode="after")
    def _best_of_is_n(self) -> Self:
        if self.best_of is not None and self.best_of != (self.n or 1):
            raise invalid("best_of", "is only supported with the value of 'n'; leave it out", "unsupported_value")
        return self

    @property
    def token_limit(self) -> int:
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The prompts one by one: texts, or token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt

    @property
    def sequences(self) -> int:
        return len(self.prompts) * (self.n or 1)


class Logprobs(AnswerModel):
    """One item a token, of the prompt too with echo. The first prompt token has neither logprob nor alternatives."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class CompletionChoice(AnswerModel):
    """`index` counts choices over all prompts: prompt i has the indices from i * n."""

    index: int
    text: str
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length", "content_filter"] | None


class Completion(AnswerModel):
    """As a chunk, `usage` is sent (null until the last one) when the request has include_usage; else the API leaves it out."""

    model_config = ConfigDict(json_schema_extra=without_usage)

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = Field(None, exclude_if=lambda value: value is None)
