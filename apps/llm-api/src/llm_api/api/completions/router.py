"""POST /v1/completions."""

from fastapi import APIRouter, Request, Response

from llm_api.api.endpoints.generation import GeneratingEndpoint
from llm_api.api.openapi import error_responses, event_stream, json_body
from llm_api.protocol.completions import Completion, CompletionRequest

STATUSES = (400, 401, 404, 408, 413, 415, 429, 500, 503, 504)


def completions_router(endpoint: GeneratingEndpoint) -> APIRouter:
    router = APIRouter(tags=["Completions"])

    @router.post(
        "/v1/completions",
        response_model=Completion,
        responses={200: event_stream(Completion), **error_responses(*STATUSES)},
        openapi_extra=json_body(CompletionRequest),
        summary="Continue a text",
    )
    async def create_completion(http: Request) -> Response:
        return await endpoint.answer(http, await endpoint.body.read(http, CompletionRequest))

    return router
