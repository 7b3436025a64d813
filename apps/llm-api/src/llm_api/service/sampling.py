"""A request's sampling parameters, checked against the model's vocabulary."""

from collections.abc import Iterator
from typing import Any

from llm_api.engine.messages import SamplingParams
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.protocol.request import GenerationRequest
from llm_api.tokenization.tokenizer import Tokenizer

SAMPLING_FIELDS = (
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "logit_bias", "seed", "ignore_eos", "min_tokens", "stop_token_ids", "allowed_token_ids",
)  # fmt: skip


def chat_sampling(
    request: ChatCompletionRequest, max_tokens: int, tokenizer: Tokenizer, vocab_size: int, grammar: str | None
) -> SamplingParams:
    """Raises InvalidRequest for token ids that the model does not have."""
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    given = _given(request, tokenizer, vocab_size)
    return SamplingParams(max_tokens=max_tokens, logprobs=logprobs, prompt_logprobs=request.prompt_logprobs, grammar=grammar, **given)


def completion_sampling(
    request: CompletionRequest, max_tokens: int, tokenizer: Tokenizer, vocab_size: int, grammar: str | None
) -> SamplingParams:
    """Raises InvalidRequest for token ids that the model does not have."""
    wanted = [count for count in (request.prompt_logprobs, request.logprobs if request.echo else None) if count is not None]
    prompt_logprobs = max(wanted, default=None)
    given = _given(request, tokenizer, vocab_size)
    compares = request.generated > (request.n or 1)
    logprobs = 0 if request.logprobs is None and compares else request.logprobs
    return SamplingParams(max_tokens=max_tokens, logprobs=logprobs, prompt_logprobs=prompt_logprobs, grammar=grammar, **given)


def _given(request: GenerationRequest, tokenizer: Tokenizer, vocab_size: int) -> dict[str, Any]:
    """The fields that are not null. The engine's defaults for the others change nothing, as in OpenAI's API."""
    for token_id in request.logit_bias or ():
        _check_token(token_id, "logit_bias", f"logit_bias.{token_id}", vocab_size)
    for field in ("stop_token_ids", "allowed_token_ids"):
        for position, token_id in enumerate(getattr(request, field) or ()):
            _check_token(token_id, field, f"{field}[{position}]", vocab_size)
    given = {field: value for field in SAMPLING_FIELDS if (value := getattr(request, field)) is not None}
    if request.bad_words:
        given["bad_words"] = list(_bad_words(request.bad_words, tokenizer, vocab_size))
    return given if request.repeat_penalty is None else {"repetition_penalty": request.repeat_penalty} | given


def _bad_words(words: list[str], tokenizer: Tokenizer, vocab_size: int) -> Iterator[list[int]]:
    """Each word as it begins a text, and as it follows a space. Words with tokens that the model lacks cannot be generated anyway."""
    spellings = dict.fromkeys(spelling for word in words for spelling in _spellings(word))
    for token_ids in tokenizer.encode_batch(list(spellings), add_special_tokens=False):
        if token_ids and max(token_ids) < vocab_size:
            yield token_ids


def _spellings(word: str) -> tuple[str, ...]:
    own = word.lstrip()
    return (own, f" {own}") if own else (word,)


def _check_token(token_id: int, field: str, param: str, vocab_size: int) -> None:
    if token_id >= vocab_size:
        raise InvalidRequest(
            f"Token id {token_id} in '{field}' is outside of the vocabulary: it must be at most {vocab_size - 1}.", param=param
        )
