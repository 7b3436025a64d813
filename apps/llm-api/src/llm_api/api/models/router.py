"""GET /v1/models and /v1/models/{id}; ids may hold slashes."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import JsonValue

from llm_api.api.openapi import NEEDS_KEY, error_responses
from llm_api.protocol.errors import ModelNotFound
from llm_api.protocol.models import Model, ModelList
from llm_api.service.model_service import ModelService

MODEL_ID: dict[str, JsonValue] = {"minLength": 1, "pattern": "^[A-Za-z0-9][A-Za-z0-9._/-]*$"}


def models_router(service: ModelService) -> APIRouter:
    router = APIRouter(tags=["Models"])

    @router.get(
        "/v1/models", response_model=ModelList, responses=error_responses(401, 500, 503), openapi_extra=NEEDS_KEY, summary="List the models"
    )
    async def list_models() -> Response:
        return Response(ModelList(data=service.models()).model_dump_json(), media_type="application/json")

    @router.get(
        "/v1/models/{model:path}",
        response_model=Model,
        responses=error_responses(401, 404, 500, 503),
        openapi_extra=NEEDS_KEY,
        summary="Describe a model",
    )
    async def retrieve_model(
        model: Annotated[str, Path(description="Model id; it may hold slashes.", json_schema_extra=MODEL_ID)],
    ) -> Response:
        for known in service.models():
            if known.id == model:
                return Response(known.model_dump_json(), media_type="application/json")
        raise ModelNotFound(model)

    return router
