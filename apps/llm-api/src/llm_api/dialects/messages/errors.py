"""Errors in Anthropic's shape."""

from typing import Literal

from llm_api.protocol.errors import ApiError
from llm_api.protocol.response import ResponseModel
from llm_api.telemetry.context import current_request

PATH = "/v1/messages"
TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 408: "timeout_error", 413: "request_too_large",
    429: "rate_limit_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip


class MessagesErrorObject(ResponseModel):
    type: str
    message: str


class MessagesError(ResponseModel):
    type: Literal["error"] = "error"
    error: MessagesErrorObject
    request_id: str


def messages_error(error: ApiError) -> MessagesError:
    kind = TYPES.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return MessagesError(error=MessagesErrorObject(type=kind, message=error.message), request_id=current_request().request_id)


def has_messages_errors(path: str) -> bool:
    return path == PATH or path.startswith(PATH + "/")
