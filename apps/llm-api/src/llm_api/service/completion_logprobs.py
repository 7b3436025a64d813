"""Logprobs as text completions have them: one list for each fact, an item for each token."""

from collections.abc import Sequence

from llm_api.protocol.completions import Logprobs
from llm_api.service.chat_logprobs import finite
from llm_api.service.choice import ScoredToken
from llm_api.tokenization.tokenizer import Tokenizer


def completion_logprobs(tokens: Sequence[ScoredToken], top: int, tokenizer: Tokenizer) -> Logprobs:
    """`top`: how many alternatives were asked for; none asked, none listed."""
    return Logprobs(
        tokens=[tokenizer.token_text(token.token_id) for token in tokens],
        token_logprobs=[finite(token.logprobs.logprob) if token.logprobs else None for token in tokens],
        top_logprobs=[_alternatives(token, tokenizer) for token in tokens] if top else None,
        text_offset=[token.offset for token in tokens],
    )


def _alternatives(token: ScoredToken, tokenizer: Tokenizer) -> dict[str, float] | None:
    """The most likely tokens and the chosen one, which may not be among them."""
    if token.logprobs is None:
        return None
    alternatives = {tokenizer.token_text(other): finite(logprob) for other, logprob in reversed(token.logprobs.top)}
    alternatives.setdefault(tokenizer.token_text(token.token_id), finite(token.logprobs.logprob))
    return alternatives
