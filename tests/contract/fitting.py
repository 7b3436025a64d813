"""Changes generated requests so that the default model can serve them, and quickly. Invalid values stay invalid."""

from collections.abc import Callable
from typing import Any

from contract.valid_parts import (
    DIALECTS,
    is_valid,
    leave_out_allowed_tokens,
    replace_in_chat,
    replace_in_dialect,
    replace_in_tokenization,
    replace_structured_outputs,
)

TOKENS = 4  # of all choices together
SEQUENCES = 16
LARGEST = 2**31 - 1
VOCABULARY = 49_152  # of the default model
EMBEDDING_VOCABULARY = 30_522
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MAX_VARIABLES = 32
LARGEST_N = 128
CHAT = "/v1/chat/completions"
LIMITS = {
    CHAT: ("max_completion_tokens", "max_tokens"),
    "/v1/completions": ("max_tokens",),
    "/v1/responses": ("max_output_tokens",),
    "/v1/messages": ("max_tokens",),
}


def fit(path: str, body: Any) -> Any:
    """The body for `path`, with few tokens to generate. Valid values that the default model does not support are replaced."""
    if not isinstance(body, dict):
        return body
    if path in DIALECTS:
        fitted = replace_in_dialect(path, body)
        return _with_few_tokens(path, fitted) if path in LIMITS and fitted is not body else fitted
    if path in WITHOUT_ANSWER:
        return WITHOUT_ANSWER[path](body)
    if path not in LIMITS:
        return body
    fitted = {**body}
    if path == CHAT:
        replace_in_chat(fitted)
    else:
        replace_structured_outputs(fitted)
    leave_out_allowed_tokens(fitted)
    _fit_best_of(fitted)
    _limit_choices(fitted)
    _limit_tokens(fitted, LIMITS[path])
    _keep_to_vocabulary(fitted)
    _keep_words(fitted)
    _leave_out_names(fitted)
    _leave_out_template_variables(fitted)
    return fitted


def _fit_embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """The model has 256 tokens at most, an input takes longer the longer it is, and the dimensions cannot be chosen."""
    fitted = body | ({"input": _in_vocabulary(body["input"], EMBEDDING_VOCABULARY)} if "input" in body else {})
    if _is_whole(fitted.get("dimensions")):
        fitted["dimensions"] = None
    if fitted.get("truncate_prompt_tokens") is None:
        fitted["truncate_prompt_tokens"] = -1
    first, second = fitted.get("text_1"), fitted.get("text_2")
    if isinstance(first, list) and isinstance(second, str | list) and len(first) > 1:
        fitted["text_2"] = first if is_valid(list[str], first) and all(first) else second
    return fitted


def _fit_tokens(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"tokens": _in_vocabulary(body["tokens"])} if "tokens" in body else body


WITHOUT_ANSWER: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "/v1/tokenize": replace_in_tokenization,
    "/v1/detokenize": _fit_tokens,
    **dict.fromkeys(("/v1/embeddings", "/v1/rerank", "/v1/score"), _fit_embeddings),
}


def _with_few_tokens(path: str, body: dict[str, Any]) -> dict[str, Any]:
    _limit_tokens(body, LIMITS[path])
    return body


def _fit_best_of(body: dict[str, Any]) -> None:
    """Streams have none, it is at least n, and the default model has no tokens to fill in the middle."""
    if _is_whole(body.get("best_of")) and body["best_of"] <= LARGEST_N:
        body["best_of"] = None
    if isinstance(body.get("suffix"), str):
        body["suffix"] = None


def _limit_choices(body: dict[str, Any]) -> None:
    """Admission takes MAX_NUM_SEQS + MAX_QUEUED_REQUESTS sequences; a request has n for each of its prompts."""
    prompts = _prompts(body.get("prompt"))
    if prompts > 1 and _is_whole(body.get("n")) and body["n"] * prompts > SEQUENCES:
        body["n"] = max(SEQUENCES // prompts, 1)


def _limit_tokens(body: dict[str, Any], fields: tuple[str, ...]) -> None:
    field = next((field for field in fields if body.get(field) is not None), fields[0])
    sequences = body["n"] if _is_whole(body.get("n")) else 1
    few = max(TOKENS // sequences, 1)
    if (
        body.get(field) is None
        or (_is_whole(body[field]) and body[field] > few)
        or (len(fields) > 1 and field == "max_tokens" and body[field] == -1)
    ):
        body[field] = few


def _keep_to_vocabulary(body: dict[str, Any]) -> None:
    """A larger token id gives a 400, which apps/llm-api/tests/service/test_refusals.py tests."""
    if "prompt" in body:
        body["prompt"] = _in_vocabulary(body["prompt"])
    for field in ("stop_token_ids", "allowed_token_ids"):
        if field in body:
            body[field] = _in_vocabulary(body[field])
    if isinstance(bias := body.get("logit_bias"), dict):
        body["logit_bias"] = {str(int(key) % VOCABULARY) if _is_token_key(key) else key: value for key, value in bias.items()}


def _in_vocabulary(prompt: Any, size: int = VOCABULARY) -> Any:
    if isinstance(prompt, list):
        return [_in_vocabulary(item, size) for item in prompt]
    return int(prompt) % size if _is_whole(prompt, least=0) else prompt


def _keep_words(body: dict[str, Any]) -> None:
    """Together, these fields may leave no token to generate, which is an error (tested in apps/llm-api/tests/engine)."""
    words = body.get("bad_words")
    if isinstance(words, list) and isinstance(body.get("allowed_token_ids"), list) and all(isinstance(word, str) for word in words):
        body["bad_words"] = []


def _leave_out_names(body: dict[str, Any]) -> None:
    """The default model's template has no names, so a message with a name is refused (tested in test_refusals.py, too)."""
    if isinstance(messages := body.get("messages"), list):
        body["messages"] = [_nameless(message) if isinstance(message, dict) else message for message in messages]


def _leave_out_template_variables(body: dict[str, Any]) -> None:
    """The default model's template has none, and few generated conversations end with a message that can be continued."""
    given = body.get("chat_template_kwargs")
    valid = {
        "reasoning_effort": body.get("reasoning_effort") in EFFORTS,
        "enable_thinking": isinstance(body.get("enable_thinking"), bool),
        "chat_template_kwargs": isinstance(given, dict) and len(given) <= MAX_VARIABLES,
        "continue_final_message": body.get("continue_final_message") is True,
    }
    for field in filter(valid.get, valid):
        body[field] = None


def _nameless(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "name" or not isinstance(value, str)}


def _prompts(prompt: Any) -> int:
    return len(prompt) if isinstance(prompt, list) and prompt and not _is_whole(prompt[0], least=0) else 1


def _is_whole(value: Any, least: int = 1) -> bool:
    """Whether a JSON value is an integer within the API's range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= LARGEST and value == int(value)


def _is_token_key(key: str) -> bool:
    return key.isascii() and key.isdigit() and str(int(key)) == key and len(key) < 10
