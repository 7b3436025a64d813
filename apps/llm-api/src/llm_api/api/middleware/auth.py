"""Checks API keys. Every path needs a key unless it is open, even paths that do not exist."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_api.api.keys import ApiKeys
from llm_api.api.paths import is_open
from llm_api.protocol.errors import Unauthorized
from llm_api.telemetry.context import current_request


class AuthMiddleware:
    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._keys.required and not is_open(scope["path"]):
            current_request().key_name = self._authenticate(Headers(scope=scope).get("authorization", ""))
        await self.app(scope, receive, send)

    def _authenticate(self, authorization: str) -> str:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthorized("You didn't provide an API key. Send it in the header `Authorization: Bearer YOUR_KEY`.")
        if (name := self._keys.name_of(key.strip())) is None:
            raise Unauthorized("Incorrect API key provided.", code="invalid_api_key")
        return name
