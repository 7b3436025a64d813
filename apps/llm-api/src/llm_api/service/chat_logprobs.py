"""Logprobs as chat answers have them."""

from collections.abc import Sequence

from llm_api.protocol.chat import ChoiceLogprobs, TokenLogprob, TopLogprob
from llm_api.service.choice import ScoredToken
from llm_api.tokenization.tokenizer import Tokenizer

IMPOSSIBLE = -9999.0  # OpenAI's stand-in for minus infinity, which JSON lacks


def chat_logprobs(tokens: Sequence[ScoredToken], tokenizer: Tokenizer) -> ChoiceLogprobs:
    return ChoiceLogprobs(content=[_token(token, tokenizer) for token in tokens])


def _token(token: ScoredToken, tokenizer: Tokenizer) -> TokenLogprob:
    logprob, top = (token.logprobs.logprob, token.logprobs.top) if token.logprobs else (IMPOSSIBLE, [])
    return TokenLogprob(
        token=tokenizer.token_text(token.token_id),
        logprob=finite(logprob),
        bytes=list(tokenizer.token_bytes(token.token_id)),
        top_logprobs=[
            TopLogprob(token=tokenizer.token_text(other), logprob=finite(value), bytes=list(tokenizer.token_bytes(other)))
            for other, value in top
        ],
    )


def finite(logprob: float) -> float:
    return max(logprob, IMPOSSIBLE)
