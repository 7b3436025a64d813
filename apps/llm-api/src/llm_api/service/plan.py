"""The engine's input for a request: prompts as tokens, sampling parameters, and a length that fits the context."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llm_api.chat.output.parts import OutputParser
from llm_api.engine.messages import SamplingParams
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.protocol.request import GenerationRequest
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer

SAMPLING_FIELDS = (
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "logit_bias", "seed", "ignore_eos", "min_tokens", "stop_token_ids", "allowed_token_ids",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt to return at the start of its completions. `offsets[i]` is where token i begins in `text`."""

    text: str
    token_ids: list[int]
    offsets: list[int]


@dataclass(frozen=True, slots=True)
class Prompt:
    token_ids: list[int]
    echo: Echo | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """`n` sequences for each prompt. With `joins_prompt` their text continues the prompt's; else it starts a new text."""

    prompts: list[Prompt]
    sampling: SamplingParams
    n: int
    stops: tuple[StopPattern, ...]
    joins_prompt: bool
    keeps_stops: bool = False  # what stops a sequence is part of its text
    kept_token_ids: frozenset[int] = frozenset()  # special tokens that are part of the text
    new_parser: Callable[[], OutputParser] | None = None  # of a choice; None: all text is the answer's
    ignored_fields: tuple[str, ...] = ()  # of the request, which the model does not use

    @property
    def prompt_tokens(self) -> int:
        return sum(len(prompt.token_ids) for prompt in self.prompts)

    @property
    def sequences(self) -> int:
        return len(self.prompts) * self.n


class ContextLengthExceeded(InvalidRequest):
    """Uses the wording that OpenAI clients recognise."""

    code = "context_length_exceeded"


def check_text_length(least_tokens: int, max_model_len: int, param: str) -> None:
    """Refuses a text that is certainly too long before it is encoded."""
    if least_tokens >= max_model_len:
        raise _too_long(f"at least {least_tokens + 1}", max_model_len, param)


def fit_completion(prompt_tokens: int, requested: int | None, max_model_len: int, param: str, *, cut: bool = False) -> int:
    """Returns how many tokens the completion may have: the requested number, or the rest of the context.

    `cut`: a number that does not fit means the rest of the context, too. Else it raises ContextLengthExceeded.
    """
    if prompt_tokens >= max_model_len:
        raise _too_long(str(prompt_tokens), max_model_len, param)
    if requested is None or (cut and prompt_tokens + requested > max_model_len):
        return max_model_len - prompt_tokens
    if prompt_tokens + requested > max_model_len:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {max_model_len} tokens. However, you requested {prompt_tokens + requested}"
            f" tokens ({prompt_tokens} in the {_part(param)}, {requested} in the completion)."
            f" Please reduce the length of the {_part(param)} or completion.",
            param=param,
        )
    return requested


def check_vocabulary(token_ids: Sequence[int], tokenizer: Tokenizer, vocab_size: int, param: str) -> None:
    """Refuses tokens that the model's embedding lacks: a tokenizer may have added tokens that the model was not made for."""
    if token_ids and (highest := max(token_ids)) >= vocab_size:
        raise InvalidRequest(
            f"'{param}' contains the token {tokenizer.token_text(highest)!r} (id {highest}), which this model does not have:"
            f" its vocabulary has {vocab_size} tokens. Leave it out.",
            param=param,
        )


def chat_sampling(request: ChatCompletionRequest, max_tokens: int, vocab_size: int, grammar: str | None) -> SamplingParams:
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    return SamplingParams(max_tokens=max_tokens, logprobs=logprobs, grammar=grammar, **_given(request, vocab_size))


def completion_sampling(request: CompletionRequest, max_tokens: int, vocab_size: int, grammar: str | None) -> SamplingParams:
    prompt_logprobs = request.logprobs if request.echo else None
    given = _given(request, vocab_size)
    return SamplingParams(max_tokens=max_tokens, logprobs=request.logprobs, prompt_logprobs=prompt_logprobs, grammar=grammar, **given)


def _given(request: GenerationRequest, vocab_size: int) -> dict[str, Any]:
    """The fields that are not null. The engine's defaults for the others change nothing, as in OpenAI's API."""
    for token_id in request.logit_bias or ():
        _check_token(token_id, "logit_bias", f"logit_bias.{token_id}", vocab_size)
    for field in ("stop_token_ids", "allowed_token_ids"):
        for position, token_id in enumerate(getattr(request, field) or ()):
            _check_token(token_id, field, f"{field}[{position}]", vocab_size)
    given = {field: value for field in SAMPLING_FIELDS if (value := getattr(request, field)) is not None}
    return given if request.repeat_penalty is None else {"repetition_penalty": request.repeat_penalty} | given


def _check_token(token_id: int, field: str, param: str, vocab_size: int) -> None:
    if token_id >= vocab_size:
        raise InvalidRequest(
            f"Token id {token_id} in '{field}' is outside of the vocabulary: it must be at most {vocab_size - 1}.", param=param
        )


def _too_long(tokens: str, max_model_len: int, param: str) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"This model's maximum context length is {max_model_len} tokens. However, your {_part(param)} resulted in {tokens} tokens."
        f" Please reduce the length of the {_part(param)}.",
        param=param,
    )


def _part(param: str) -> str:
    return param.partition("[")[0]
