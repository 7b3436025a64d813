"""Errors of engines, which differ in shape, as errors of this API."""

from typing import Any

import structlog
from pydantic_core import from_json

from llm_api.protocol.errors import ApiError, BodyTooLarge, EngineFailed, InvalidRequest, Overloaded, Unavailable

MAX_MESSAGE = 1000  # characters
TOO_LONG = ("maximum context length", "context size", "max_total_tokens", "longer than the model", "max_seq_len", "max_num_tokens")
REFUSED = frozenset({400, 409, 422, 424})  # 424: TGI's failed generation, whose cause is usually the request


def broken_off() -> EngineFailed:
    return EngineFailed("The engine ended its answer in the middle. Send the request again.")


def unreadable() -> EngineFailed:
    return EngineFailed("The engine sent an answer that cannot be read. Send the request again.")


def answered_error(status: int, body: bytes) -> ApiError:
    """For an answer with an HTTP status that is no success."""
    return _error(status, *_parts(body))


def event_error(data: Any) -> ApiError | None:
    """The error in an event of a stream, which may be the first one; None for other events."""
    if not isinstance(data, dict) or not ("error" in data or data.get("object") == "error"):
        return None
    message, param, code = _found(data)
    error = data.get("error")
    status = str(error.get("http_status_code", code) if isinstance(error, dict) else code)
    return _error(int(status) if status.isdecimal() else 500, message, param, code)


def _error(status: int, message: str, param: str | None, code: str | None) -> ApiError:
    if status in REFUSED:
        return _refused(message, param, code)
    if status == 413:
        return BodyTooLarge(message or "The engine refused the request because of its size; send less.")
    if status == 429:
        return Overloaded("The engine has too many requests; try again later.")
    if status == 503:
        return Unavailable("The engine is not ready, or has too many requests; try again.")
    log = structlog.stdlib.get_logger("llm_api.service.upstream")
    log.error("the engine failed on a request", status=status, message=message)
    return EngineFailed("The engine failed on this request." if status >= 500 else "The engine refused this server's request.")


def _refused(message: str, param: str | None, code: str | None) -> InvalidRequest:
    is_too_long = any(words in message for words in TOO_LONG)
    return InvalidRequest(
        message or "The engine refused this request.",
        param=param,
        code="context_length_exceeded" if is_too_long else code if code and not code.isdecimal() else None,
    )


def _parts(body: bytes) -> tuple[str, str | None, str | None]:
    try:
        data = from_json(body)
    except ValueError:
        return body.decode(errors="replace").strip()[:MAX_MESSAGE], None, None
    return _found(data)


def _found(data: Any) -> tuple[str, str | None, str | None]:
    """Message, param and code of {"error": {...}}, {"error": "..."}, {"message": ...} or {"detail": ...}."""
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return str(error)[:MAX_MESSAGE], None, None
    message = error.get("message") or error.get("detail") or ""
    param, code = error.get("param"), error.get("code")
    text = message if isinstance(message, str) else _validation(message)
    return text[:MAX_MESSAGE], param if isinstance(param, str) else None, None if code is None else str(code)


def _validation(detail: Any) -> str:
    """FastAPI's list of validation errors, as one sentence each."""
    if not isinstance(detail, list):
        return str(detail)
    return "; ".join(f"'{'.'.join(map(str, item.get('loc', ())))}': {item.get('msg', '')}" for item in detail if isinstance(item, dict))
