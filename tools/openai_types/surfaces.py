"""The two sides of the comparison: the types of the openai package, and the service's /openapi.json."""

from collections.abc import Iterator
from typing import Any, cast

from openai import types
from openai.pagination import SyncPage
from openai.types import chat, completion_create_params, shared
from openai.types.chat import completion_create_params as chat_create_params
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from llm_api.app import create_app
from llm_api.protocol.models import Model
from llm_api.server.lifecycle import Lifecycle
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics
from tools.openai_types.differences import Difference, compare
from tools.openai_types.shape import Shapes

CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


class ChatRequest(chat_create_params.CompletionCreateParamsBase, total=False):
    stream: bool | None  # the package has it in two subclasses, one for each type of response


class CompletionRequest(completion_create_params.CompletionCreateParamsBase, total=False):
    stream: bool | None


class ErrorBody(TypedDict):
    """The package has no type for the whole body."""

    error: shared.ErrorObject


class OneModel:
    """A service with only a model id, which is sufficient for the document."""

    def models(self) -> list[Model]:
        return [Model(id="model", root="model", created=0, owned_by="llm-api")]

    def embedding_model(self) -> None:
        return None


def our_document() -> dict[str, Any]:
    service = cast(ModelService, OneModel())
    return create_app(Settings(request_fields="strict"), service, Metrics(), Lifecycle()).openapi()


def differences(document: dict[str, Any]) -> list[Difference]:
    """`document`: our OpenAPI."""
    found: set[Difference] = set()
    shapes = Shapes(document["components"]["schemas"])
    for part, theirs, ours in _parts(document["paths"]):
        schema = TypeAdapter(theirs).json_schema()
        found.update(compare(part, "", Shapes(schema.get("$defs", {})).of(schema), shapes.of(ours)))
    return sorted(found)


def _parts(paths: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The name of each part, the package's type, our schema."""
    yield "Chat request", ChatRequest, _request(paths[CHAT])
    yield "Chat answer", chat.ChatCompletion, _answer(paths[CHAT]["post"])
    yield "Chat chunk", chat.ChatCompletionChunk, _chunk(paths[CHAT])
    yield "Completion request", CompletionRequest, _request(paths[COMPLETIONS])
    yield "Completion answer", types.Completion, _answer(paths[COMPLETIONS]["post"])
    yield "Completion chunk", types.Completion, _chunk(paths[COMPLETIONS])
    yield "Models", SyncPage[types.Model], _answer(paths["/v1/models"]["get"])
    yield "Model", types.Model, _answer(paths["/v1/models/{model}"]["get"])
    yield "Error", ErrorBody, _answer(paths[CHAT]["post"], "400")


def _request(path: dict[str, Any]) -> Any:
    return path["post"]["requestBody"]["content"]["application/json"]["schema"]


def _answer(operation: dict[str, Any], status: str = "200") -> Any:
    return operation["responses"][status]["content"]["application/json"]["schema"]


def _chunk(path: dict[str, Any]) -> Any:
    """The schema of a stream event's JSON that is not the error event."""
    event = path["post"]["responses"]["200"]["content"]["text/event-stream"]["itemSchema"]["properties"]["data"]
    [content] = [branch["contentSchema"] for branch in event["anyOf"] if "contentSchema" in branch]
    return content["anyOf"][0]
