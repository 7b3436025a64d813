"""Refuses requests for the model while it loads, after it failed, and while the server drains."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_api.api.paths import serves_model
from llm_api.protocol.errors import Leaving, Unavailable
from llm_api.server.lifecycle import Lifecycle
from llm_api.service.model_service import ModelService
from llm_api.telemetry.metrics import Metrics


class GateMiddleware:
    """Also counts the requests that a drain waits for, and closes kept-alive connections when the server is shutting down."""

    def __init__(self, app: ASGIApp, service: ModelService, lifecycle: Lifecycle, metrics: Metrics) -> None:
        self.app = app
        self._service = service
        self._lifecycle = lifecycle
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not serves_model(scope["path"]):
            await self.app(scope, receive, send)
            return

        async def send_farewell(message: Message) -> None:
            if message["type"] == "http.response.start" and self._lifecycle.leaving:
                MutableHeaders(scope=message)["connection"] = "close"
            await send(message)

        self._check()
        with self._lifecycle.serving():
            await self.app(scope, receive, send_farewell)

    def _check(self) -> None:
        if self._lifecycle.draining:
            self._metrics.rejected("draining")
            raise Leaving
        phase = self._service.health().phase
        if phase == "loading":
            self._metrics.rejected("loading")
            raise Unavailable("The model is still loading; try again.")
        if phase == "failed":
            self._metrics.rejected("failed")
            raise Unavailable("The model has failed; the server is restarting.")
