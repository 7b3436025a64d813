"""What the routes' own declarations leave out of /openapi.json: hand-read bodies, event streams, errors, keys."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from llm_api.protocol.errors import ErrorResponse

REF = "#/components/schemas/{model}"
NEEDS_KEY: dict[str, Any] = {"security": [{"ApiKey": []}, {}]}  # {}: a server without keys asks for none
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
    """For `openapi_extra`; `install_openapi` must know the model."""
    content = {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
    return {"requestBody": {"required": True, "content": content}} | NEEDS_KEY


def event_stream(chunk: type[BaseModel]) -> dict[str, Any]:
    """The 200 of an endpoint that may stream, beside its JSON."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"$ref": REF.format(model=chunk.__name__)}}
    item = {"type": "object", "required": ["data"], "properties": {"data": data}}
    return {
        "description": "The completion; with `stream` its chunks as server-sent events, then `[DONE]`.",
        "content": {"text/event-stream": {"itemSchema": item}},
    }


def install_openapi(app: FastAPI, *models: type[BaseModel]) -> None:
    """`models`: those that routes refer to by name alone."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app, models)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _schema(app: FastAPI, models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = schema.setdefault("components", {})
    _, definitions = models_json_schema([(model, "validation") for model in models], ref_template=REF)
    components["schemas"] = definitions["$defs"] | components.get("schemas", {})
    components["securitySchemes"] = {"ApiKey": {"type": "http", "scheme": "bearer", "description": "An API key, when the server has any."}}
    return schema
