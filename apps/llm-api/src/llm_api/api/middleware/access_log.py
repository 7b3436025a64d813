"""Logs every request when it has ended, and counts it in the HTTP and per-key metrics."""

import time
from dataclasses import fields

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_api.api.paths import is_open
from llm_api.telemetry.context import RequestContext, current_request
from llm_api.telemetry.metrics import Metrics

CLIENT_LEFT = 499  # nginx's status for a client that left before the response
LOGGED = tuple(field.name for field in fields(RequestContext) if field.name not in {"arrived", "ignored_fields"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class AccessLogMiddleware:
    def __init__(self, app: ASGIApp, metrics: Metrics, handlers: frozenset[str]) -> None:
        """`handlers`: paths that become the label `handler` of the metrics. Other paths become the pattern of their route, or `other`."""
        self.app = app
        self._metrics = metrics
        self._handlers = handlers
        self._log = structlog.stdlib.get_logger("llm_api.access")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = CLIENT_LEFT

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_noting_status)
        finally:
            self._record(scope, status, current_request())

    def _record(self, scope: Scope, status: int, context: RequestContext) -> None:
        path, method, seconds = scope["path"], scope["method"], time.monotonic() - context.arrived
        handler = path if path in self._handlers else getattr(scope.get("route"), "path", "other")
        self._metrics.http_request(method if method in METHODS else "other", handler, status, seconds)
        if context.prompt_tokens or context.completion_tokens:
            self._metrics.key_used(context.key_name or "anonymous", context.prompt_tokens, context.completion_tokens)
        log = self._log.debug if is_open(path) else self._log.info
        log(
            "request",
            method=method,
            path=scope["raw_path"].decode("ascii")[:200],
            status=status,
            seconds=round(seconds, 4),
            **_known(context),
        )


def _known(context: RequestContext) -> dict[str, str | int]:
    """The fields of the context that are set. Probes set none of them."""
    values = {name: getattr(context, name) for name in LOGGED}
    return {name: value for name, value in values.items() if value}
