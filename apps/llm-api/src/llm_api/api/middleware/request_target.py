"""Requests as clients write them: below a path prefix, with doubled or trailing slashes, and HEAD for everything that has a GET."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

SLASHES = re.compile("/{2,}")
OTHER_PATHS = {  # of vLLM, Jina and Cohere
    "/tokenize": "/v1/tokenize",
    "/detokenize": "/v1/detokenize",
    "/rerank": "/v1/rerank",
    "/v2/rerank": "/v1/rerank",
    "/score": "/v1/score",
}


class RequestTargetMiddleware:
    """Everything inside sees the path as the routes have it. Keys, admission and routing therefore agree on what is requested."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        """`prefix`: of the path, such as `/llm`, for proxies that do not strip it. Paths without it are served, too."""
        self.app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "path": self._route_path(scope["path"])}, receive, send)

    def _route_path(self, path: str) -> str:
        path = SLASHES.sub("/", path)
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            path = path.removeprefix(self._prefix)
        path = path.rstrip("/") or "/"
        return OTHER_PATHS.get(path, path)


class HeadMiddleware:
    """Routes HEAD as GET. The server sends the head of the response alone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        scope["method"] = "GET" if method == "HEAD" else method
        try:
            await self.app(scope, receive, send)
        finally:
            scope["method"] = method  # for the log
