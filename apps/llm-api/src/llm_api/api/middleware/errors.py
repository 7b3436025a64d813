"""Every error of whatever origin becomes the OpenAI error object. What is unexpected is logged and not told."""

import traceback
from collections.abc import Callable

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_api.api.cutoff import ClientLeft
from llm_api.protocol.errors import ApiError, InvalidRequest, MethodNotAllowed, NotFound


class ErrorMiddleware:
    """Around all that may fail, inside what must see every response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting_start)
        except ClientLeft:
            return
        except Exception as error:
            answer = as_api_error(error)
            if not started:  # else the server closes the connection, which a client sees as a broken response
                await error_response(answer)(scope, receive, send)


def as_api_error(error: Exception) -> ApiError:
    """What to tell the client of any exception."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, HTTPException):
        return _from_router(error)
    structlog.stdlib.get_logger("llm_api.errors").error("request failed", error=_names(error), frames=_frames(error))
    return ApiError("The server failed to process the request. It is logged under its request id.", code="internal_error")


def error_response(error: ApiError) -> Response:
    return Response(error.response().model_dump_json(), error.status, error.headers, "application/json")


async def pass_on(request: Request, error: Exception) -> Response:
    """The framework's exception handler: leaves its exceptions to ErrorMiddleware."""
    raise error


def _from_router(error: HTTPException) -> ApiError:
    headers = Headers(error.headers or {})
    kinds: dict[int, Callable[[], ApiError]] = {
        404: lambda: NotFound("This path does not exist; /docs lists those that do.", code="unknown_url", headers=headers),
        405: lambda: MethodNotAllowed(f"This path does not take this method, but {headers.get('allow', 'others')}.", headers=headers),
    }
    return kinds.get(error.status_code, lambda: InvalidRequest(str(error.detail), headers=headers))()


def _names(error: BaseException | None) -> str:
    """The types of the exception and its causes: their messages may hold what a client sent."""
    names = []
    while error:
        names.append(type(error).__name__)
        error = error.__cause__ or error.__context__
    return " from ".join(names[:5])


def _frames(error: Exception) -> list[str]:
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)[-15:]]
