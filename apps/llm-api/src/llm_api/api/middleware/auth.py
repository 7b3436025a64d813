"""Checks API keys. Every path needs a key unless it is open, even paths that do not exist."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from llm_api.api.keys import ApiKey, ApiKeys
from llm_api.api.paths import is_open
from llm_api.protocol.errors import Unauthorized
from llm_api.telemetry.context import current_request


class AuthMiddleware:
    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self.app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._keys.required and not is_open(scope["path"]):
            key = self._authenticate(_key_in(Headers(scope=scope)))
            current_request().key_name, current_request().request_fields = key.name, key.request_fields
        await self.app(scope, receive, send)

    def _authenticate(self, key: str) -> ApiKey:
        if not key:
            raise Unauthorized("You didn't provide an API key. Send it in the header `Authorization: Bearer YOUR_KEY`.")
        if (known := self._keys.find(key)) is None:
            raise Unauthorized("Incorrect API key provided.", code="invalid_api_key")
        return known


def _key_in(headers: Headers) -> str:
    """The key of the first header that has one: OpenAI's, Anthropic's, Azure's."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    keys = (bearer if scheme.lower() == "bearer" else "", headers.get("x-api-key", ""), headers.get("api-key", ""))
    return next((key.strip() for key in keys if key.strip()), "")
