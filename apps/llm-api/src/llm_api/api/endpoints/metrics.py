"""GET /metrics."""

from fastapi import APIRouter, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from llm_api.api.openapi import NEEDS_KEY, error_responses
from llm_api.telemetry.metrics import Metrics


def metrics_router(metrics: Metrics) -> APIRouter:
    router = APIRouter(tags=["Health"])

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}, **error_responses(401)},
        openapi_extra=NEEDS_KEY,
        summary="Metrics in the Prometheus text format",
    )
    async def read_metrics() -> Response:
        return Response(metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router
