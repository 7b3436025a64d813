"""The probes: /livez, /readyz and /healthz, and the names that other servers have for /healthz. None of them depends on the load."""

from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from llm_api import __version__
from llm_api.api.responses import json_response
from llm_api.server.lifecycle import Lifecycle
from llm_api.service.model_service import ModelService, ServiceHealth


class Health(BaseModel):
    status: Literal["ok", "unavailable"]
    phase: str
    detail: str


def is_ready(service: ModelService, lifecycle: Lifecycle) -> bool:
    return service.health().phase == "ready" and not lifecycle.leaving


def _works(health: ServiceHealth) -> bool:
    return health.progressing and health.phase != "failed"


class Probes:
    def __init__(self, service: ModelService, lifecycle: Lifecycle) -> None:
        self._service = service
        self._lifecycle = lifecycle

    def router(self) -> APIRouter:
        router = APIRouter(tags=["Health"])
        for path, endpoint, summary in (
            ("/livez", self.livez, "Whether the process works; if not, it must be restarted"),
            ("/livez/engine", self.livez_engine, "Whether the engine works; if not, it must be restarted"),
            ("/readyz", self.readyz, "Whether the server accepts requests"),
            ("/healthz", self.healthz, "Whether the model is loaded and works"),
        ):
            unavailable = {"model": Health, "description": "Not at the moment; `detail` gives the reason."}
            router.add_api_route(path, endpoint, response_model=Health, responses={503: unavailable}, summary=summary)
        for path in ("/health", "/ping"):
            router.add_api_route(path, self.healthz, include_in_schema=False)
        router.add_api_route("/version", self.version, include_in_schema=False)
        return router

    async def livez(self) -> Response:
        health = self._service.health()
        return self._report(health.engine_is_apart or _works(health))

    async def livez_engine(self) -> Response:
        """The same as /livez, but for an engine in another container, which is restarted without this process."""
        return self._report(_works(self._service.health()))

    async def readyz(self) -> Response:
        return self._report(is_ready(self._service, self._lifecycle))

    async def healthz(self) -> Response:
        health = self._service.health()
        return self._report(health.phase == "ready" and health.progressing)

    async def version(self) -> Response:
        return JSONResponse({"version": __version__})

    def _report(self, healthy: bool) -> Response:
        health = self._service.health()
        phase = "leaving" if self._lifecycle.leaving else health.phase
        status: Literal["ok", "unavailable"] = "ok" if healthy else "unavailable"
        return json_response(Health(status=status, phase=phase, detail=health.detail), 200 if healthy else 503)
