"""GET /v1/models and /v1/models/{id}."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import JsonValue

from llm_api.api.openapi import NEEDS_KEY, error_responses, model_link
from llm_api.api.responses import json_response
from llm_api.protocol.errors import ModelNotFound
from llm_api.protocol.models import Model, ModelList
from llm_api.service.model_service import ModelService

ID_SCHEMA: dict[str, JsonValue] = {"minLength": 1, "pattern": "^[A-Za-z0-9][A-Za-z0-9._/-]*$"}
ModelId = Annotated[str, Path(description="Model id; it may contain slashes.", json_schema_extra=ID_SCHEMA)]


class Models:
    def __init__(self, service: ModelService, aliases: tuple[str, ...]) -> None:
        """`aliases`: more names for the service's first model."""
        self._service = service
        self._aliases = aliases

    @property
    def first(self) -> Model:
        return self._service.models()[0]

    def find(self, name: str) -> Model:
        """The model of this id or alias. Raises ModelNotFound."""
        for known in self._all():
            if known.id == name:
                return known
        raise ModelNotFound(name)

    def _all(self) -> list[Model]:
        models = self._service.models()
        return models + [models[0].model_copy(update={"id": alias}) for alias in self._aliases]

    def router(self) -> APIRouter:
        router = APIRouter(tags=["Models"], responses=error_responses(401, 500, 503))
        router.get(
            "/v1/models",
            response_model=ModelList,
            responses={200: model_link("/data/0/id")},
            openapi_extra=NEEDS_KEY,
            summary="List the models",
        )(self.list_models)
        router.get(
            "/v1/models/{model:path}",
            response_model=Model,
            responses=error_responses(404),
            openapi_extra=NEEDS_KEY,
            summary="Describe a model",
        )(self.retrieve_model)
        return router

    async def list_models(self) -> Response:
        return json_response(ModelList(data=self._all()))

    async def retrieve_model(self, model: ModelId) -> Response:
        return json_response(self.find(model))
