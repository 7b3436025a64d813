"""The fields that chat and text completions share: sampling, stop conditions, and how the response is sent.

Every field may be null, which has the same meaning as absent. Ranges are OpenAI's for the fields that OpenAI has.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, Tag, model_validator
from pydantic.config import JsonDict

from llm_api.protocol.fields import (
    WHOLE,
    WHOLE_ITEMS,
    Bias,
    BiasedToken,
    KeptTokens,
    MetadataKey,
    MetadataValue,
    Penalty,
    StrictModel,
    TokenId,
    ineffective,
    invalid,
    only_with,
    string_or_array,
)
from llm_api.protocol.structured_output import StructuredOutputs

MAX_STOPS = 16
MAX_TOKEN_IDS = 1024
MAX_BAD_WORDS, MAX_BAD_WORD = 1024, 256  # words, characters
BadWord = Annotated[str, Field(min_length=1, max_length=MAX_BAD_WORD)]
STREAM_OPTIONS_NEED_STREAM = only_with("stream_options", "object", "stream")
PROMPT_LOGPROBS_NEED_A_WHOLE_ANSWER: JsonDict = {
    "if": {"properties": {"prompt_logprobs": {"type": "integer"}}, "required": ["prompt_logprobs"]},
    "then": {"properties": {"stream": {"enum": [False, None]}}},
}


def _known_tier(value: Any) -> Any:
    if isinstance(value, str) and value not in {"auto", "default"}:
        raise ineffective()
    return value


class StreamOptions(StrictModel):
    include_usage: bool | None = None
    """Send the token counts in a last chunk before [DONE]."""
    continuous_usage_stats: bool | None = None
    """With include_usage: send the token counts so far in every chunk. Not in OpenAI's API."""
    include_obfuscation: bool | None = None
    """Accepted, without effect."""


class GenerationRequest(StrictModel):
    model: Annotated[str, Field(min_length=1, max_length=512)]
    """A model id from /v1/models."""
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128), WHOLE] | None = None
    """How many choices to generate."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """0 always takes the most likely token."""
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=2**31 - 1), WHOLE] | None = None
    """Sample from the k most likely tokens; 0 and -1 mean all. Not in OpenAI's API."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """Drop tokens that are less likely than this fraction of the most likely token's probability. Not in OpenAI's API."""
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(ge=0.1, le=10)] | None = None
    """Divides the logits of tokens that are already in the prompt or completion; 1 disables it. Not in OpenAI's API."""
    repeat_penalty: Annotated[float, Field(ge=0.1, le=10)] | None = None
    """Another name of repetition_penalty, which takes precedence. llama.cpp and Ollama have it."""
    logit_bias: (
        Annotated[dict[BiasedToken, Bias], Field(json_schema_extra={"propertyNames": {"pattern": "^(0|[1-9][0-9]{0,8})$"}})] | None
    ) = None
    """Token ids, each with a number to add to its logit."""
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1), WHOLE] | None = None
    stop: (
        Annotated[
            Annotated[str, Tag("<string>")] | Annotated[list[str], Field(max_length=MAX_STOPS, fail_fast=True), Tag("<array>")],
            string_or_array(f"at most {MAX_STOPS} strings"),
        ]
        | None
    ) = None
    """Strings that end the completion, which does not include them by default. Empty strings end nothing."""
    include_stop_str_in_output: bool | None = None
    """Keep the stop string, or the token of stop_token_ids, that ended the completion. Not in OpenAI's API."""
    skip_special_tokens: bool | None = None
    """False keeps the text of special tokens, but for the one that ended the completion. Default true. Not in OpenAI's API."""
    min_tokens: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] | None = None
    """Tokens before which neither the end of text, nor stop or stop_token_ids, ends the completion. Not in OpenAI's API."""
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MAX_TOKEN_IDS, fail_fast=True), WHOLE_ITEMS] | None = None
    """Tokens that end the completion. Not in OpenAI's API."""
    allowed_token_ids: Annotated[list[TokenId], Field(min_length=1, max_length=MAX_TOKEN_IDS, fail_fast=True), WHOLE_ITEMS] | None = None
    """The only tokens that may be generated. Not in OpenAI's API."""
    structured_outputs: StructuredOutputs | None = None
    """Hold the completion to a form. Not in OpenAI's API."""
    bad_words: Annotated[list[BadWord], Field(max_length=MAX_BAD_WORDS, fail_fast=True)] | None = None
    """Texts that are not generated, neither at the start of a text nor after a space. Not in OpenAI's API."""
    ignore_eos: bool | None = None
    """Continue after the end-of-text token, up to max_tokens. Not in OpenAI's API."""
    priority: Annotated[int, Field(ge=-(2**31), le=2**31 - 1), WHOLE] | None = None
    """Requests of one API key wait in this order, lower first; default 0. Not in OpenAI's API."""
    truncate_prompt_tokens: KeptTokens | None = None
    """Keep only this many tokens at the end of the prompt; -1 keeps what the context has room for. Not in OpenAI's API."""
    add_special_tokens: bool | None = None
    """Add the tokens that the tokenizer puts around a text. Completions do by default; chat does not. Not in OpenAI's API."""
    prompt_logprobs: Annotated[int, Field(ge=0, le=20), WHOLE] | None = None
    """Return the log probabilities of the prompt's tokens, each with this many alternatives. Not in OpenAI's API."""
    return_token_ids: bool | None = None
    """Return the token ids of prompt and completion. Not in OpenAI's API."""
    return_tokens_as_token_ids: bool | None = None
    """With logprobs: write each token as `token_id:5` instead of its text. Not in OpenAI's API."""
    user: str | None = None
    """Accepted, without effect."""
    metadata: Annotated[dict[MetadataKey, MetadataValue], Field(max_length=16)] | None = None
    """Accepted, without effect."""
    service_tier: Annotated[Literal["auto", "default"], BeforeValidator(_known_tier)] | None = None
    """Accepted, without effect."""
    safety_identifier: str | None = None
    """Accepted, without effect."""
    prompt_cache_key: str | None = None
    """Accepted, without effect: the prefix cache works for equal prefixes whatever the key."""

    @model_validator(mode="after")
    def _stream_options_need_stream(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise invalid("stream_options", "is only allowed when 'stream' is true")
        return self

    @model_validator(mode="after")
    def _prompt_logprobs_are_not_streamed(self) -> Self:
        if self.prompt_logprobs is not None and self.stream:
            raise invalid("prompt_logprobs", "is not available when 'stream' is true")
        return self

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def include_usage_in_chunks(self) -> bool:
        return self.include_usage and bool(self.stream_options and self.stream_options.continuous_usage_stats)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        strings = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(filter(None, strings))

    @property
    def sequences(self) -> int:
        """How many sequences this request creates in the engine."""
        return self.n or 1
