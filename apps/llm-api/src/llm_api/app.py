"""Builds the applications and serves them: wiring, nothing else."""

import asyncio
from collections.abc import Callable

import uvloop
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from llm_api import __version__
from llm_api.api.body import BodyReader
from llm_api.api.docs_page import mount_docs
from llm_api.api.endpoints.dialects import DIALECT_BODIES, DialectEndpoints
from llm_api.api.endpoints.embeddings import EMBEDDING_BODIES, EmbeddingEndpoints
from llm_api.api.endpoints.generation import GenerationEndpoints
from llm_api.api.endpoints.metrics import metrics_router
from llm_api.api.endpoints.models import Models
from llm_api.api.endpoints.probes import Probes, is_ready
from llm_api.api.endpoints.tokenization import TOKENIZATION_BODIES, TokenizationEndpoints
from llm_api.api.endpoints.unknown import unknown_path
from llm_api.api.keys import ApiKeys, ApiKeysError
from llm_api.api.middleware.access_log import AccessLogMiddleware
from llm_api.api.middleware.admission import AdmissionMiddleware, inputs_admission, sequences_admission
from llm_api.api.middleware.auth import AuthMiddleware
from llm_api.api.middleware.errors import ErrorMiddleware, pass_on
from llm_api.api.middleware.gate import GateMiddleware
from llm_api.api.middleware.request_id import RequestIdMiddleware
from llm_api.api.middleware.request_target import HeadMiddleware, RequestTargetMiddleware
from llm_api.api.openapi import install_openapi
from llm_api.api.paths import DOCS_ASSETS, OPEN_PATHS
from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import ChatCompletionChunk
from llm_api.protocol.completions import CompletionRequest
from llm_api.server.lifecycle import Lifecycle
from llm_api.server.listening import StartError
from llm_api.server.server import Addresses, Applications, serve
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

DESCRIPTION = "An OpenAI-compatible API on a continuous-batching torch engine."


def run_api(settings: Settings, service: ModelService, metrics: Metrics, on_listening: Callable[[Addresses], None] | None = None) -> int:
    """Runs `serve_api` in its own event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve_api(settings, service, metrics, on_listening))


async def serve_api(
    settings: Settings, service: ModelService, metrics: Metrics, on_listening: Callable[[Addresses], None] | None = None
) -> int:
    """Serves the API until a signal arrives or the service fails. Returns the exit code. `on_listening` gets the real ports."""
    lifecycle = Lifecycle()
    return await serve(settings, service, lifecycle, lambda: _applications(settings, service, metrics, lifecycle), on_listening)


def create_app(settings: Settings, service: ModelService, metrics: Metrics, lifecycle: Lifecycle) -> FastAPI:
    """The API. It includes the probes and metrics unless MANAGEMENT_PORT is set. Raises ApiKeysError."""
    metrics.watch_ready(lambda: is_ready(service, lifecycle))
    keys = ApiKeys(settings.api_keys, settings.api_keys_file)
    if keys.required:
        metrics.watch_keys(lambda: keys.count, lambda: keys.file_is_good)
    sequences, inputs = sequences_admission(settings, service, metrics), inputs_admission(settings, metrics)
    models = Models(service, settings.model_aliases)
    generation = GenerationEndpoints(settings, service, models, lifecycle, sequences, BodyReader(settings, lifecycle, metrics))
    tokenization = TokenizationEndpoints(service, models, generation.body)
    embeddings = EmbeddingEndpoints(settings, service, models, lifecycle, inputs, generation.body)
    routers = [generation.router(), DialectEndpoints(generation).router(), embeddings.router(), tokenization.router(), models.router()]
    if settings.management_port is None:
        routers += _management(service, metrics, lifecycle)
    app = _fastapi(
        Middleware(RequestIdMiddleware),
        Middleware(RequestTargetMiddleware, settings.root_path),
        Middleware(AccessLogMiddleware, metrics, OPEN_PATHS | _paths(routers)),
        *_cors(settings.cors_origins),
        Middleware(ErrorMiddleware),
        Middleware(GateMiddleware, service, lifecycle, metrics),
        Middleware(AuthMiddleware, keys),
        Middleware(AdmissionMiddleware, sequences, inputs),
        Middleware(HeadMiddleware),
    )
    for router in routers:
        app.include_router(router)
    app.router.default = unknown_path(_paths(routers))
    mount_docs(app, page="/docs", assets=DOCS_ASSETS)
    bodies = (ChatCompletionRequest, ChatCompletionChunk, CompletionRequest, *DIALECT_BODIES, *EMBEDDING_BODIES, *TOKENIZATION_BODIES)
    install_openapi(app, service, *bodies, needs_key=keys.required, prefix=settings.root_path)
    return app


def create_management_app(service: ModelService, metrics: Metrics, lifecycle: Lifecycle) -> FastAPI:
    """Only the probes and metrics, without API keys."""
    app = _fastapi(
        Middleware(RequestIdMiddleware), Middleware(RequestTargetMiddleware, ""), Middleware(ErrorMiddleware), Middleware(HeadMiddleware)
    )
    for router in _management(service, metrics, lifecycle):
        app.include_router(router)
    app.router.default = unknown_path(())
    return app


def _applications(settings: Settings, service: ModelService, metrics: Metrics, lifecycle: Lifecycle) -> Applications:
    """Raises StartError for API keys that cannot be read."""
    try:
        api = create_app(settings, service, metrics, lifecycle)
    except ApiKeysError as error:
        raise StartError(str(error)) from None
    has_management = settings.management_port is not None
    return Applications(api, create_management_app(service, metrics, lifecycle) if has_management else None)


def _management(service: ModelService, metrics: Metrics, lifecycle: Lifecycle) -> list[APIRouter]:
    return [Probes(service, lifecycle).router(), metrics_router(metrics)]


def _cors(origins: tuple[str, ...]) -> list[Middleware]:
    """Preflights are answered here, before keys are checked: browsers send them without any."""
    if not origins:
        return []
    exposed = ("x-request-id", "x-ignored-fields", "retry-after")
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "HEAD", "POST"),
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=exposed,
        )
    ]


def _paths(routers: list[APIRouter]) -> frozenset[str]:
    return frozenset(route.path for router in routers for route in router.routes if isinstance(route, APIRoute))


def _fastapi(*middleware: Middleware) -> FastAPI:
    return FastAPI(
        title="llm-api",
        version=__version__,
        description=DESCRIPTION,
        middleware=middleware,
        exception_handlers={HTTPException: pass_on},
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )


def _operation_id(route: APIRoute) -> str:
    return route.name
