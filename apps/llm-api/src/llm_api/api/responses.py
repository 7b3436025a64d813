"""Responses: a model as JSON, and any exception as the OpenAI error object."""

import traceback
from collections.abc import Mapping

import structlog
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llm_api.dialects.messages.errors import has_messages_errors, messages_error
from llm_api.protocol.errors import ApiError, InvalidRequest, MethodNotAllowed


def json_response(body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Serialises the model once: FastAPI would validate it again."""
    return Response(body.model_dump_json(), status, headers, "application/json")


def error_response(error: ApiError, path: str = "") -> Response:
    """`path`: of the request. Anthropic's paths have Anthropic's errors."""
    body = messages_error(error) if has_messages_errors(path) else error.response()
    return Response(body.model_dump_json(), error.status, error.headers, "application/json")


def as_api_error(error: Exception) -> ApiError:
    """Converts any exception to an error for the client. Unexpected exceptions are logged, and the client gets no details."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        return _from_router(error)
    structlog.stdlib.get_logger("llm_api.errors").error("request failed", error=_names(error), frames=_frames(error))
    return ApiError("The server failed to process the request. The error is logged under the request id.", code="internal_error")


def _from_router(error: HTTPException) -> ApiError:
    headers = Headers(error.headers or {})
    if error.status_code == 405:
        methods = headers.get("allow", "others").split(", ")
        supported = ", ".join([*methods, "HEAD"] if "GET" in methods and "HEAD" not in methods else methods)
        headers = Headers({"allow": supported})
        return MethodNotAllowed(f"This path does not support this method. It supports {supported}.", headers=headers)
    return InvalidRequest(str(error.detail), headers=headers)


def _names(error: BaseException | None) -> str:
    """The types of the exception and its causes. Their messages are left out: they may contain what a client sent."""
    names = []
    while error:
        names.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return " from ".join(names[:5])


def _frames(error: Exception) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-15:]]
