"""Adds to /openapi.json the parts that FastAPI cannot derive from the routes: bodies read by hand, event streams, errors, API keys."""

import re
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from llm_api.protocol.embeddings import EmbeddingModelRequest
from llm_api.protocol.errors import ErrorResponse
from llm_api.protocol.response import ResponseModel
from llm_api.service.model_service import ModelService
from llm_api.settings import PATH_PREFIX

PREFIX = re.compile(f"{PATH_PREFIX}/?")
REF = "#/components/schemas/{model}"
NEEDS_KEY: dict[str, Any] = {"security": [{"ApiKey": []}]}
SCHEME = {"type": "http", "scheme": "bearer", "description": "An API key, if the server has any."}
DESCRIPTIONS = {
    400: "The request is invalid; `param` names the field.",
    401: "No API key, or an unknown one.",
    404: "The model does not exist.",
    408: "The body took too long to arrive.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    429: "Too many requests are running and waiting.",
    500: "The server failed.",
    503: "The model is loading, or the server is shutting down.",
    504: "The request took too long.",
}
RETRIABLE = (429, 503)


def error_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    retry_after = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return {
        status: {"model": ErrorResponse, "description": DESCRIPTIONS[status], **({"headers": retry_after} if status in RETRIABLE else {})}
        for status in statuses
    }


def json_body(model: type[BaseModel]) -> dict[str, Any]:
    """For `openapi_extra`. The model must also be passed to `install_openapi`."""
    content = {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
    return {"requestBody": {"required": True, "content": content}} | NEEDS_KEY


def event_stream(chunk: type[BaseModel]) -> dict[str, Any]:
    """The 200 of an endpoint that may stream, in addition to its JSON response."""
    contents = [{"$ref": REF.format(model=name)} for name in (chunk.__name__, ErrorResponse.__name__)]
    json_data = {"contentMediaType": "application/json", "contentSchema": {"anyOf": contents}}
    data = {"type": "string", "anyOf": [{"const": "[DONE]"}, json_data]}
    item = {"type": "object", "required": ["data"], "properties": {"data": data}}
    return {
        "description": "The completion; with `stream` its chunks as server-sent events, then `[DONE]`, or an error event.",
        "content": {"text/event-stream": {"itemSchema": item}},
        **model_link("/model"),
    }


def model_link(pointer: str) -> dict[str, Any]:
    """The `links` of a response with a model id at `pointer` in its body."""
    return {"links": {"model": {"operationId": "retrieve_model", "parameters": {"model": f"$response.body#{pointer}"}}}}


def install_openapi(app: FastAPI, service: ModelService, *bodies: type[BaseModel], needs_key: bool, prefix: str) -> None:
    """Serves the schema at /openapi.json. A request with X-Forwarded-Prefix gets paths below that prefix, others below `prefix`.

    `bodies`: models that routes refer to only by name. Their examples get the id of the served model, so that they work.
    `needs_key`: whether the server has API keys. If not, the schema marks keys as optional.
    """

    def openapi() -> dict[str, Any]:
        """Built at the first request, when the service knows its models."""
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = schema["components"]["schemas"]
            schemas |= _schemas_of(bodies, service) | schemas
            schema["components"]["securitySchemes"] = {"ApiKey": SCHEME}
            _drop_framework_errors(schema)
            if not needs_key:
                _make_keys_optional(schema["paths"])
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]

    async def serve_schema(request: Request) -> Response:
        forwarded = request.headers.get("x-forwarded-prefix", "")
        below = forwarded.rstrip("/") if PREFIX.fullmatch(forwarded) else prefix
        return JSONResponse(openapi() | ({"servers": [{"url": below}]} if below else {}))

    app.add_route("/openapi.json", serve_schema, include_in_schema=False)


def _drop_framework_errors(schema: dict[str, Any]) -> None:
    """FastAPI adds a 422 to every route with a parameter. This API answers 400 or 404 instead."""
    for path in schema["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)


def _make_keys_optional(paths: dict[str, Any]) -> None:
    for operation in (operation for path in paths.values() for operation in path.values() if "security" in operation):
        operation["security"] = [*operation["security"], {}]


def _schemas_of(bodies: tuple[type[BaseModel], ...], service: ModelService) -> dict[str, Any]:
    modes: list[tuple[type[BaseModel], JsonSchemaMode]]
    modes = [(body, "serialization" if issubclass(body, ResponseModel) else "validation") for body in bodies]
    _, definitions = models_json_schema(modes, ref_template=REF)
    schemas: dict[str, Any] = deepcopy(definitions["$defs"])
    generating, embedding = service.models()[0], service.embedding_model()
    for body in bodies:
        model = embedding if embedding and issubclass(body, EmbeddingModelRequest) else generating
        for example in schemas[body.__name__].get("examples", ()):
            example["model"] = model.id
    return schemas
