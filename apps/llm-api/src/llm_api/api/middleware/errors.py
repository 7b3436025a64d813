"""Answers every exception with the OpenAI error object."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_api.api.cutoff import ClientLeft
from llm_api.api.responses import as_api_error, error_response


class ErrorMiddleware:
    """Wraps everything that may fail. The middleware that must see every response wraps ErrorMiddleware."""

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
            api_error = as_api_error(error)
            if not started:  # else the server closes the connection, and the client sees a broken response
                await error_response(api_error, scope["path"])(scope, receive, send)


async def pass_on(request: Request, error: Exception) -> Response:
    """The framework's exception handler: leaves its exceptions to ErrorMiddleware."""
    raise error
