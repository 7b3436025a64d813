"""POST /tokenize and /detokenize, as vLLM has them; also below /v1."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from llm_api.api.body import BodyReader
from llm_api.api.endpoints.models import Models
from llm_api.api.openapi import error_responses, json_body
from llm_api.api.request_fields import ignored_fields_header
from llm_api.api.responses import json_response
from llm_api.api.validation import invalid_request
from llm_api.protocol.models import Model
from llm_api.protocol.tokenization import DetokenizeRequest, DetokenizeResponse, TokenizeRequest, TokenizeResponse
from llm_api.service.model_service import ModelService
from llm_api.telemetry.context import current_request

STATUSES = (400, 401, 404, 408, 413, 415, 429, 500, 503)
TOKENIZATION_BODIES = (TokenizeRequest, DetokenizeRequest)


@dataclass(frozen=True, slots=True)
class TokenizationEndpoints:
    service: ModelService
    models: Models
    body: BodyReader

    def router(self) -> APIRouter:
        router = APIRouter(tags=["Tokens"], responses=error_responses(*STATUSES))
        body = json_body(TokenizeRequest)
        router.post("/v1/tokenize", response_model=TokenizeResponse, openapi_extra=body, summary="Turn a text into tokens")(self.tokenize)
        body = json_body(DetokenizeRequest)
        router.post("/v1/detokenize", response_model=DetokenizeResponse, openapi_extra=body, summary="Turn tokens into a text")(
            self.detokenize
        )
        return router

    async def tokenize(self, http: Request) -> Response:
        request = await self.body.read(http, TokenizeRequest)
        model = self._model(request.model)
        tokens = await self._tokens(request, model.id)
        names = await self.service.token_names(tokens) if request.return_token_strs else None
        answer = TokenizeResponse(count=len(tokens), max_model_len=model.max_model_len, tokens=tokens, token_strs=names)
        return json_response(answer, headers=ignored_fields_header())

    async def detokenize(self, http: Request) -> Response:
        request = await self.body.read(http, DetokenizeRequest)
        self._model(request.model)
        return json_response(DetokenizeResponse(prompt=await self.service.detokenize(request.tokens)), headers=ignored_fields_header())

    def _model(self, name: str | None) -> Model:
        model = self.models.first if name is None else self.models.find(name)
        current_request().model = model.id
        return model

    async def _tokens(self, request: TokenizeRequest, model: str) -> list[int]:
        if request.prompt is not None:
            return await self.service.tokenize(request.prompt, request.add_special_tokens is not False)
        try:
            chat = request.chat_request(model)
        except ValidationError as error:
            raise invalid_request(error) from None
        return await self.service.tokenize_chat(chat)
