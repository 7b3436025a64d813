"""Text completions: request, and response, which is also the stream chunk."""

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, WithJsonSchema, model_validator

from llm_api.protocol.fields import WHOLE, WHOLE_ITEMS, TokenId, invalid
from llm_api.protocol.request import PROMPT_LOGPROBS_NEED_A_WHOLE_ANSWER, STREAM_OPTIONS_NEED_STREAM, GenerationRequest
from llm_api.protocol.response import PromptLogprobs, ResponseModel, Usage, is_none, without_usage

DEFAULT_MAX_TOKENS = 16
Tokens = Annotated[list[TokenId], Field(min_length=1, fail_fast=True), WHOLE_ITEMS]


def _prompt_kind(value: Any) -> str | None:
    """Chooses between the three kinds of array by the first element."""
    if isinstance(value, str):
        return "<string>"
    if not isinstance(value, list):
        return None
    first = value[0] if value else ""
    return "<arrays>" if isinstance(first, list) else "<strings>" if isinstance(first, str) else "<tokens>"


Text = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1})]
"""May be empty only if the model's tokenizer adds a token at the start of every text."""
Prompt = Annotated[
    Annotated[Text, Tag("<string>")]
    | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("<strings>")]
    | Annotated[Tokens, Tag("<tokens>")]
    | Annotated[list[Tokens], Field(min_length=1, fail_fast=True), Tag("<arrays>")],
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
            "allOf": [STREAM_OPTIONS_NEED_STREAM, PROMPT_LOGPROBS_NEED_A_WHOLE_ANSWER],
        }
    )

    prompt: Prompt
    max_tokens: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] | None = None
    """Default 16. 0 generates no token; with echo and logprobs it scores the prompt."""
    echo: bool | None = None
    """Start the text with the prompt."""
    logprobs: Annotated[int, Field(ge=0, le=5), WHOLE] | None = None
    best_of: Annotated[int, Field(ge=1, le=128), WHOLE] | None = None
    """Generate this many completions of each prompt, and return the n with the highest mean logprob of a token. At least n."""
    suffix: str | None = None
    """The text after the completion, for models that fill in the middle. Excludes echo and truncate_prompt_tokens."""

    @model_validator(mode="after")
    def _best_of_is_at_least_n(self) -> Self:
        if self.best_of is not None and self.best_of < (self.n or 1):
            raise invalid("best_of", f"must be at least 'n', which is {self.n}")
        if self.stream and self.generated > (self.n or 1):
            raise invalid("best_of", "must be equal to 'n' when 'stream' is true")
        return self

    @model_validator(mode="after")
    def _suffix_goes_with_the_whole_prompt(self) -> Self:
        if self.suffix and self.echo:
            raise invalid("suffix", "excludes 'echo'")
        if self.suffix and self.truncate_prompt_tokens is not None:
            raise invalid("suffix", "excludes 'truncate_prompt_tokens'")
        return self

    @property
    def generated(self) -> int:
        """How many completions to generate for each prompt."""
        return self.best_of or self.n or 1

    @property
    def token_limit(self) -> int:
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """The list of prompts, each a text or a list of token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt

    @property
    def sequences(self) -> int:
        return len(self.prompts) * self.generated


class Logprobs(ResponseModel):
    """One item per token, with echo also for each prompt token. The first prompt token has no logprob and no alternatives."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None
    text_offset: list[int]


class CompletionChoice(ResponseModel):
    """`index` counts the choices of all prompts: those of prompt i start at i * n."""

    index: int
    text: str
    logprobs: Logprobs | None = None
    finish_reason: Literal["stop", "length", "content_filter"] | None
    prompt_logprobs: PromptLogprobs | None = Field(None, exclude_if=is_none)
    prompt_token_ids: list[int] | None = Field(None, exclude_if=is_none)
    """With return_token_ids: in a stream, in the first chunk of each choice."""
    token_ids: list[int] | None = Field(None, exclude_if=is_none)


class Completion(ResponseModel):
    """In a stream, `usage` is sent only if the request has include_usage, and is null until the last chunk."""

    model_config = ConfigDict(json_schema_extra=without_usage)

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None = None
    system_fingerprint: str | None = Field(None, exclude_if=is_none)
