"""Whether a prompt and its completion fit the model's context, in the words that OpenAI clients look for."""

from llm_api.protocol.errors import InvalidRequest


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


def check_text_length(least_tokens: int, max_model_len: int, param: str) -> None:
    """Refuses a text that is surely too long before time is spent on its tokens."""
    if least_tokens >= max_model_len:
        raise _too_long(f"at least {least_tokens + 1}", max_model_len, param)


def fit_completion(prompt_tokens: int, requested: int | None, max_model_len: int, param: str) -> int:
    """How many tokens the completion may have: what was requested, else what is left of the context."""
    if prompt_tokens >= max_model_len:
        raise _too_long(str(prompt_tokens), max_model_len, param)
    if requested is None:
        return max_model_len - prompt_tokens
    if prompt_tokens + requested > max_model_len:
        raise ContextLengthExceeded(
            f"This model's maximum context length is {max_model_len} tokens. However, you requested {prompt_tokens + requested}"
            f" tokens ({prompt_tokens} in the {_part(param)}, {requested} in the completion)."
            f" Please reduce the length of the {_part(param)} or completion.",
            param=param,
        )
    return requested


def _too_long(tokens: str, max_model_len: int, param: str) -> ContextLengthExceeded:
    return ContextLengthExceeded(
        f"This model's maximum context length is {max_model_len} tokens. However, your {_part(param)} resulted in {tokens} tokens."
        f" Please reduce the length of the {_part(param)}.",
        param=param,
    )


def _part(param: str) -> str:
    return param.partition("[")[0]
