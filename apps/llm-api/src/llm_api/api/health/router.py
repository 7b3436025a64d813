"""Probes and metrics. None of them depends on load."""

from typing import Literal

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from llm_api.lifecycle import Lifecycle
from llm_api.service.model_service import ModelService
from llm_api.telemetry.metrics import Metrics


class Health(BaseModel):
    status: Literal["ok", "unavailable"]
    phase: str
    detail: str


UNAVAILABLE: dict[int | str, dict[str, object]] = {503: {"model": Health, "description": "Not now; `detail` says why."}}


def health_router(service: ModelService, lifecycle: Lifecycle, metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["Health"])

    def report(healthy: bool) -> Response:
        health = service.health()
        phase = "draining" if lifecycle.leaving else health.phase
        body = Health(status="ok" if healthy else "unavailable", phase=phase, detail=health.detail)
        return Response(body.model_dump_json(), 200 if healthy else 503, media_type="application/json")

    @router.get("/livez", response_model=Health, responses=UNAVAILABLE, summary="Whether the process works; if not, restart it")
    async def livez() -> Response:
        health = service.health()
        return report(health.progressing and health.phase != "failed")

    @router.get("/readyz", response_model=Health, responses=UNAVAILABLE, summary="Whether to send requests here")
    async def readyz() -> Response:
        return report(service.health().phase == "ready" and not lifecycle.leaving)

    @router.get("/healthz", response_model=Health, responses=UNAVAILABLE, summary="Whether the model is loaded and works")
    async def healthz() -> Response:
        health = service.health()
        return report(health.phase == "ready" and health.progressing)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}},
        summary="Metrics in Prometheus' text format",
    )
    async def prometheus_metrics() -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router
