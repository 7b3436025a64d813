"""GET /v1/models and /v1/models/{id}."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import JsonValue

from llm_api.api.openapi import NEEDS_KEY, error_responses, model_link
from llm_api.api.responses import json_response
from llm_api.protocol.errors import ModelNotFound, NotFound
from llm_api.protocol.models import Model, ModelList
from llm_api.service.model_service import ModelService

ID_SCHEMA: dict[str, JsonValue] = {"minLength": 1, "pattern": "^[A-Za-z0-9][A-Za-z0-9._/-]*$"}
ModelId = Annotated[str, Path(description="Model id; it may contain slashes.", json_schema_extra=ID_SCHEMA)]


class Models:
    def __init__(self, service: ModelService, aliases: tuple[str, ...]) -> None:
        """`aliases`: more names: `NAME` for the model that generates, `NAME=MODEL` for any."""
        self._service = service
        self._aliases = [(name, target or None) for name, _, target in (alias.partition("=") for alias in aliases)]

    @property
    def first(self) -> Model:
        return self._service.models()[0]

    def find(self, name: str) -> Model:
        """The model of this id or alias that generates. Raises NotFound."""
        found = self._find(name)
        if (embedding := self._service.embedding_model()) and found.root == embedding.root:
            raise NotFound(f"The model {name!r} embeds texts: use it in /v1/embeddings.", param="model", code="model_not_supported")
        return found

    def find_embedding(self, name: str) -> Model:
        """The embedding model, if `name` is its id or alias. Raises NotFound."""
        embedding = self._service.embedding_model()
        if embedding is None:
            raise NotFound("This server has no embedding model: its operator can set EMBEDDING_MODEL_URI.", code="embeddings_off")
        found = self._find(name)
        if found.root != embedding.root:
            raise NotFound(f"The model {name!r} embeds no texts; use {embedding.id!r}.", param="model", code="model_not_supported")
        return found

    def _find(self, name: str) -> Model:
        for known in self._all():
            if known.id == name:
                return known
        raise ModelNotFound(name)

    def _all(self) -> list[Model]:
        embedding = self._service.embedding_model()
        models = [*self._service.models(), *([embedding] if embedding else [])]
        by_id = {model.id: model for model in models}
        aliases = [(name, by_id.get(target or models[0].id)) for name, target in self._aliases]
        return models + [model.model_copy(update={"id": name}) for name, model in aliases if model]

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
        return json_response(self._find(model))
