"""An OpenAI-compatible server with scripted behaviour, on a free loopback port."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from llm_api.bench.exchange import Target


@dataclass
class ScriptedServer:
    lists_models: bool = True
    refused_fields: frozenset[str] = frozenset()
    sends_usage: bool = True
    status: int = 200
    port: int = 0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    def target(self, name: str = "scripted") -> Target:
        return Target(name, "127.0.0.1", self.port)

    async def models(self, request: Request) -> Response:
        if not self.lists_models:
            return Response("Internal Server Error", 500)
        return JSONResponse({"object": "list", "data": [{"id": "org/model", "object": "model"}]})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        self.authorizations.append(request.headers.get("authorization"))
        if refused := self.refused_fields & body.keys():
            return JSONResponse({"detail": f"Unexpected fields in the request: {refused}"}, 422)
        if self.status != 200:
            return JSONResponse({"error": {"message": "no"}}, self.status)
        self.bodies.append(body)
        return StreamingResponse(self._answer(body), media_type="text/event-stream")

    async def _answer(self, body: dict[str, Any]) -> AsyncIterator[str]:
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield _event([{"index": 0, "delta": {"role": "assistant", "content": ""}}])
            for _ in range(body["max_tokens"]):
                await asyncio.sleep(0)
                yield _event([{"index": 0, "delta": {"content": " word"}, "finish_reason": None}])
            yield _event([{"index": 0, "delta": {}, "finish_reason": "length"}])
            if self.sends_usage and "stream_options" in body:
                yield _event([], usage={"prompt_tokens": 110, "completion_tokens": body["max_tokens"]})
            yield "data: [DONE]\n\n"
        finally:
            self.in_flight -= 1


@asynccontextmanager
async def serving(server: ScriptedServer) -> AsyncIterator[ScriptedServer]:
    routes = [Route("/v1/models", server.models), Route("/v1/chat/completions", server.chat, methods=["POST"])]
    uvicorn_server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="warning"))
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    running = asyncio.create_task(uvicorn_server.serve([listener]))
    try:
        yield server
    finally:
        uvicorn_server.should_exit = True
        await running


def _event(choices: list[dict[str, Any]], **more: Any) -> str:
    return f"data: {json.dumps({'id': 'chatcmpl-1', 'object': 'chat.completion.chunk', 'choices': choices, **more})}\n\n"
