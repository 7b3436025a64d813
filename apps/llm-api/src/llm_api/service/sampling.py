"""How a request wants its tokens chosen, as the engine takes it."""

from typing import Any

from llm_api.engine.messages import SamplingParams
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.completions import CompletionRequest
from llm_api.protocol.errors import InvalidRequest
from llm_api.protocol.request import GenerationRequest

FIELDS = (
    "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty",
    "logit_bias", "seed", "ignore_eos",
)  # fmt: skip


def chat_sampling(request: ChatCompletionRequest, max_tokens: int, vocab_size: int) -> SamplingParams:
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    return SamplingParams(max_tokens=max_tokens, logprobs=logprobs, **_given(request, vocab_size))


def completion_sampling(request: CompletionRequest, max_tokens: int, vocab_size: int) -> SamplingParams:
    prompt_logprobs = request.logprobs if request.echo else None
    return SamplingParams(max_tokens=max_tokens, logprobs=request.logprobs, prompt_logprobs=prompt_logprobs, **_given(request, vocab_size))


def _given(request: GenerationRequest, vocab_size: int) -> dict[str, Any]:
    """The fields that are not null: for the others the engine's own defaults change nothing, as OpenAI's."""
    for token_id in request.logit_bias or ():
        if token_id >= vocab_size:
            raise InvalidRequest(
                f"Token id {token_id} in 'logit_bias' is outside of the vocabulary: it must be at most {vocab_size - 1}.",
                param=f"logit_bias.{token_id}",
            )
    return {field: value for field in FIELDS if (value := getattr(request, field)) is not None}
