"""POST /v1/chat/completions."""

from fastapi import APIRouter, Request, Response

from llm_api.api.endpoints.generation import GeneratingEndpoint
from llm_api.api.openapi import error_responses, event_stream, json_body
from llm_api.protocol.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest

STATUSES = (400, 401, 404, 408, 413, 415, 429, 500, 503, 504)


def chat_router(endpoint: GeneratingEndpoint) -> APIRouter:
    router = APIRouter(tags=["Chat"])

    @router.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses={200: event_stream(ChatCompletionChunk), **error_responses(*STATUSES)},
        openapi_extra=json_body(ChatCompletionRequest),
        summary="Answer a conversation",
    )
    async def create_chat_completion(http: Request) -> Response:
        return await endpoint.answer(http, await endpoint.body.read(http, ChatCompletionRequest))

    return router
