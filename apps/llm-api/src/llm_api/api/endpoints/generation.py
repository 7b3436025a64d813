"""POST /v1/chat/completions and POST /v1/completions: checks the model, takes places, and sends a whole response or a stream."""

from dataclasses import dataclass
from typing import TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from llm_api.api.body import BodyReader
from llm_api.api.cutoff import Cutoff
from llm_api.api.endpoints.models import Models
from llm_api.api.middleware.admission import Admission
from llm_api.api.openapi import error_responses, event_stream, json_body
from llm_api.api.request_fields import ignored_fields_header
from llm_api.api.responses import json_response
from llm_api.api.sse import CHUNKS, EventStream, StreamForm
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.protocol.request import GenerationRequest
from llm_api.server.lifecycle import Lifecycle
from llm_api.service.model_service import Answer, ModelService
from llm_api.settings import Settings
from llm_api.telemetry.context import current_request

STATUSES = (400, 401, 404, 408, 413, 415, 429, 500, 503, 504)

Whole = TypeVar("Whole", bound=BaseModel)
Chunk = TypeVar("Chunk", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class GenerationEndpoints:
    settings: Settings
    service: ModelService
    models: Models
    lifecycle: Lifecycle
    admission: Admission
    body: BodyReader

    def router(self) -> APIRouter:
        router = APIRouter()
        router.post(
            "/v1/chat/completions",
            tags=["Chat"],
            response_model=ChatCompletion,
            responses={200: event_stream(ChatCompletionChunk), **error_responses(*STATUSES)},
            openapi_extra=json_body(ChatCompletionRequest),
            summary="Answer a conversation",
        )(self.create_chat_completion)
        router.post(
            "/v1/completions",
            tags=["Completions"],
            response_model=Completion,
            responses={200: event_stream(Completion), **error_responses(*STATUSES)},
            openapi_extra=json_body(CompletionRequest),
            summary="Continue a text",
        )(self.create_completion)
        return router

    async def create_chat_completion(self, http: Request) -> Response:
        request = await self.body.read(http, ChatCompletionRequest)
        return await self.respond(http, request, self.service.chat(request))

    async def create_completion(self, http: Request) -> Response:
        request = await self.body.read(http, CompletionRequest)
        return await self.respond(http, request, self.service.complete(request))

    async def respond(self, http: Request, request: GenerationRequest, answer: Answer[Whole, Chunk], form: StreamForm = CHUNKS) -> Response:
        current_request().model = self.models.find(request.model).id
        places = self.admission.places(request.sequences)
        cutoff = Cutoff.of_request(self.lifecycle, self.settings.request_timeout)
        if request.stream:
            omitted = None if request.include_usage else {"usage"}
            return EventStream(answer.stream_infer(), places, cutoff, self.settings, omitted, form)
        with places:
            async with cutoff.armed(), cutoff.watching(http.receive):
                whole = await answer.infer()
        return json_response(whole, headers=ignored_fields_header())
