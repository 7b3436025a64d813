"""The engine's input for a request: prompts as tokens, sampling parameters, and a length that fits the context."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_api.chat.output.parts import OutputParser
from llm_api.engine.messages import SamplingParams
from llm_api.protocol.errors import InvalidRequest
from llm_api.tokenization.stop_strings import StopPattern
from llm_api.tokenization.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt to return at the start of its completions. `offsets[i]` is where token i begins in `text`."""

    text: str
    token_ids: list[int]
    offsets: list[int]

    def last(self, count: int) -> "Echo":
        start = self.offsets[-count]
        return Echo(self.text[start:], self.token_ids[-count:], [offset - start for offset in self.offsets[-count:]])


@dataclass(frozen=True, slots=True)
class Prompt:
    token_ids: list[int]
    echo: Echo | None = None

    def last(self, count: int) -> "Prompt":
        """The last `count` tokens, with the text that begins with them."""
        if count == len(self.token_ids):
            return self
        return Prompt(self.token_ids[-count:], self.echo and self.echo.last(count))


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
    returns_token_ids: bool = False
    priority: int = 0  # among the requests of one API key; lower is earlier
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


def kept_prompt(token_ids: list[int], requested: int | None, kept: int | None, max_model_len: int) -> list[int]:
    """The end of a prompt, as truncate_prompt_tokens says. `requested`: tokens of the completion, for which -1 leaves room."""
    if kept is None:
        return token_ids
    return token_ids[-(max(max_model_len - max(requested or 1, 1), 1) if kept == -1 else kept) :]


def check_token_ids(token_ids: Sequence[int], path: str, vocab_size: int) -> None:
    for position, token_id in enumerate(token_ids):
        if token_id >= vocab_size:
            raise InvalidRequest(
                f"Token id {token_id} is outside of the vocabulary: it must be at most {vocab_size - 1}.", param=f"{path}[{position}]"
            )


def check_vocabulary(token_ids: Sequence[int], tokenizer: Tokenizer, vocab_size: int, param: str) -> None:
    """Refuses tokens that the model's embedding lacks: a tokenizer may have added tokens that the model was not made for."""
    if token_ids and (highest := max(token_ids)) >= vocab_size:
        raise InvalidRequest(
            f"'{param}' contains the token {tokenizer.token_text(highest)!r} (id {highest}), which this model does not have:"
            f" its vocabulary has {vocab_size} tokens. Leave it out.",
            param=param,
        )


def _too_long(tokens: str, max_model_len: int, param: str) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"This model's maximum context length is {max_model_len} tokens. However, your {_part(param)} resulted in {tokens} tokens."
        f" Please reduce the length of the {_part(param)}.",
        param=param,
    )


def _part(param: str) -> str:
    return param.partition("[")[0]
