"""POST /v1/embeddings, /v1/rerank and /v1/score: by the model of EMBEDDING_MODEL_URI."""

import asyncio
import base64
import time
import uuid
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from fastapi import APIRouter, Request, Response

from llm_api.api.body import BodyReader
from llm_api.api.cutoff import Cutoff
from llm_api.api.endpoints.models import Models
from llm_api.api.middleware.admission import Admission
from llm_api.api.openapi import error_responses, json_body
from llm_api.api.request_fields import ignored_fields_header
from llm_api.api.responses import json_response
from llm_api.dialects.field_names import FieldNames
from llm_api.protocol.embeddings import (
    MAX_INPUTS,
    Embedding,
    EmbeddingList,
    EmbeddingsRequest,
    EmbeddingUsage,
    RankedDocument,
    Ranking,
    RerankRequest,
    Score,
    ScoreList,
    ScoreRequest,
    TotalTokens,
)
from llm_api.protocol.errors import InvalidRequest
from llm_api.server.lifecycle import Lifecycle
from llm_api.service.model_service import Embeddings, ModelService
from llm_api.settings import Settings
from llm_api.telemetry.context import current_request

STATUSES = (400, 401, 404, 408, 413, 415, 429, 500, 503, 504)
EMBEDDING_BODIES = (EmbeddingsRequest, RerankRequest, ScoreRequest)


@dataclass(frozen=True, slots=True)
class EmbeddingEndpoints:
    settings: Settings
    service: ModelService
    models: Models
    lifecycle: Lifecycle
    admission: Admission
    body: BodyReader

    def router(self) -> APIRouter:
        router = APIRouter(tags=["Embeddings"], responses=error_responses(*STATUSES))
        body = json_body(EmbeddingsRequest)
        router.post("/v1/embeddings", response_model=EmbeddingList, openapi_extra=body, summary="Embed texts")(self.create_embeddings)
        body = json_body(RerankRequest)
        router.post("/v1/rerank", response_model=Ranking, openapi_extra=body, summary="Order documents by a query")(self.rerank)
        body = json_body(ScoreRequest)
        router.post("/v1/score", response_model=ScoreList, openapi_extra=body, summary="Compare pairs of texts")(self.score)
        return router

    async def create_embeddings(self, http: Request) -> Response:
        request = await self.body.read(http, EmbeddingsRequest)
        if len(request.items) > MAX_INPUTS:
            raise InvalidRequest(f"'input' has {len(request.items)} items: at most {MAX_INPUTS} are allowed.", param="input")
        embeddings = await self._embed(http, request)
        content = await asyncio.to_thread(_content, embeddings, self._model(request.model), request.encoding_format == "base64")
        return Response(content, 200, ignored_fields_header(), "application/json")

    async def rerank(self, http: Request) -> Response:
        request = await self.body.read(http, RerankRequest)
        texts = [document if isinstance(document, str) else document.text for document in request.documents]
        paths = ["query", *(f"documents[{index}]" for index in range(len(texts)))]
        with _field_names(paths, "documents").in_errors():
            embeddings = await self._embed(http, _of_texts(request, [request.query, *texts]))
        scores = await asyncio.to_thread(_cosines, embeddings.vectors[:1] * len(texts), embeddings.vectors[1:])
        best = sorted(range(len(texts)), key=lambda index: -scores[index])[: request.top_n or None]
        shown = request.return_documents is not False
        results = [
            RankedDocument.model_validate(
                {"index": index, "document": {"text": texts[index]} if shown else None, "relevance_score": scores[index]}
            )
            for index in best
        ]
        usage = TotalTokens(total_tokens=embeddings.prompt_tokens)
        ranking = Ranking(id=f"rerank-{uuid.uuid4().hex}", model=self._model(request.model), usage=usage, results=results)
        return json_response(ranking, headers=ignored_fields_header())

    async def score(self, http: Request) -> Response:
        request = await self.body.read(http, ScoreRequest)
        left, right = _listed(request.text_1), _listed(request.text_2)
        if len(left) not in (1, len(right)):
            raise InvalidRequest(f"'text_1' has {len(left)} texts: it must have one, or as many as 'text_2', {len(right)}.", param="text_1")
        paths = [*_paths("text_1", request.text_1), *_paths("text_2", request.text_2)]
        with _field_names(paths, "text_2").in_errors():
            embeddings = await self._embed(http, _of_texts(request, [*left, *right]))
        first, second = embeddings.vectors[: len(left)], embeddings.vectors[len(left) :]
        scores = await asyncio.to_thread(_cosines, first if len(left) > 1 else first * len(right), second)
        answer = ScoreList(
            id=f"score-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=self._model(request.model),
            data=[Score(index=index, score=score) for index, score in enumerate(scores)],
            usage=_usage(embeddings),
        )
        return json_response(answer, headers=ignored_fields_header())

    def _model(self, name: str) -> str:
        return self.models.find_embedding(name).root

    async def _embed(self, http: Request, request: EmbeddingsRequest) -> Embeddings:
        current_request().model = self._model(request.model)
        cutoff = Cutoff.of_request(self.lifecycle, self.settings.request_timeout)
        with self.admission.places(len(request.items)):
            async with cutoff.armed(), cutoff.watching(http.receive):
                return await self.service.embed(request)


def _content(embeddings: Embeddings, model: str, as_base64: bool) -> bytes:
    """Written in parts, so that other threads get their turns."""
    items = [
        Embedding(index=index, embedding=base64.b64encode(vector).decode() if as_base64 else array("f", vector).tolist()).model_dump_json()
        for index, vector in enumerate(embeddings.vectors)
    ]
    whole = EmbeddingList(data=[], model=model, usage=_usage(embeddings)).model_dump_json()
    before, data, after = whole.partition('"data":[]')
    return f"{before}{data[:-1]}{','.join(items)}]{after}".encode()


def _cosines(left: Sequence[bytes], right: Sequence[bytes]) -> list[float]:
    return [_cosine(array("f", one), array("f", other)) for one, other in zip(left, right, strict=True)]


def _cosine(left: "array[float]", right: "array[float]") -> float:
    lengths = sum(map(mul, left, left)) * sum(map(mul, right, right))
    return sum(map(mul, left, right)) / lengths**0.5 if lengths else 0.0


def _of_texts(request: RerankRequest | ScoreRequest, texts: list[str]) -> EmbeddingsRequest:
    return EmbeddingsRequest(model=request.model, input=texts, truncate_prompt_tokens=request.truncate_prompt_tokens)


def _field_names(paths: list[str], whole: str) -> FieldNames:
    """`paths`: of the items of `input` in the client's request. `whole`: of the field with most of them."""
    return FieldNames((r"input\[(\d+)\]", lambda found: paths[int(found[1])]), ("input", whole))


def _paths(field: str, texts: str | list[str]) -> list[str]:
    return [field] if isinstance(texts, str) else [f"{field}[{index}]" for index in range(len(texts))]


def _listed(texts: str | list[str]) -> list[str]:
    return [texts] if isinstance(texts, str) else texts


def _usage(embeddings: Embeddings) -> EmbeddingUsage:
    return EmbeddingUsage(prompt_tokens=embeddings.prompt_tokens, total_tokens=embeddings.prompt_tokens)
