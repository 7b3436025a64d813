"""Paths that do not exist: the error names the endpoint that the client probably means."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from llm_api.protocol.errors import NotFound

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"
# The ends of paths of other APIs, which clients use by default.
OTHER_APIS = {"/api/chat": CHAT, "/api/generate": COMPLETIONS, "/generate": COMPLETIONS}


def unknown_path(known: Iterable[str]) -> ASGIApp:
    """`known`: the paths of the API. One that ends as the unknown path does is suggested: the longest, if several do."""
    ends = OTHER_APIS | {path.removeprefix("/v1"): path for path in known if path.startswith("/v1/")}

    async def refuse(scope: Scope, _receive: Receive, _send: Send) -> None:
        path = scope["path"]
        matching = max((end for end in ends if path.endswith(end)), key=len, default=None)
        advice = "/docs lists the paths" if matching is None else f"use {ends[matching]}"
        raise NotFound(f"This path does not exist; {advice}.", code="unknown_url")

    return refuse
