"""Runs the service for `llm-api serve`: starts the engine and the server, and announces when it is ready."""

import asyncio

import structlog

from llm_api.app import run_api
from llm_api.cli.announcement import Announcement, needs_key
from llm_api.cli.prepared_embedding import PreparedEmbedding
from llm_api.cli.prepared_model import PreparedModel
from llm_api.embedding.client import EmbeddingClient, EmbeddingError
from llm_api.engine.client import EngineClient
from llm_api.engine.errors import EngineDied
from llm_api.engine.launcher import WorkerProcess
from llm_api.server.server import Addresses
from llm_api.service.embeddings import EmbeddingLimits, EmbeddingService
from llm_api.service.engine_service import EngineService, EngineServiceConfig
from llm_api.service.model_service import ModelService
from llm_api.service.with_embeddings import WithEmbeddings
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics


class ServiceRun:
    def __init__(self, settings: Settings, prepared: PreparedModel, process: WorkerProcess, embedding: PreparedEmbedding | None) -> None:
        self._settings = settings
        self._prepared = prepared
        self._embedding = embedding
        self._process = process
        self._embedder = EmbeddingClient(embedding.config) if embedding else None
        self._announcing: asyncio.Task[None] | None = None
        self._not_loaded: EngineDied | None = None

    def until_exit(self) -> int:
        """Returns the exit code."""
        prepared, metrics = self._prepared, Metrics()
        engine = EngineClient(prepared.engine, self._process)
        service = self._with_embeddings(EngineService(self._service_config(), prepared.tokenizer, prepared.template, engine, metrics))
        exit_code = run_api(self._settings, service, metrics, lambda addresses: self._announce_later(engine, prepared.name, addresses))
        if exit_code != 1:
            return exit_code
        codes = (self._not_loaded.exit_code if self._not_loaded else 1, self._embedder.state.exit_code if self._embedder else 1)
        return next((code for code in codes if code != 1), 1)

    def _with_embeddings(self, service: ModelService) -> ModelService:
        if self._embedding is None or self._embedder is None:
            return service
        limits = EmbeddingLimits(self._settings.engine_load_timeout, self._settings.engine_stall_timeout)
        return WithEmbeddings(service, EmbeddingService(self._embedding.name, self._embedding.tokenizer, self._embedder, limits))

    def _service_config(self) -> EngineServiceConfig:
        return EngineServiceConfig(
            model_name=self._prepared.name,
            engine_load_timeout=self._settings.engine_load_timeout,
            engine_stall_timeout=self._settings.engine_stall_timeout,
            request_fields=self._settings.request_fields,
            tool_parser=self._settings.tool_parser,
            reasoning_parser=self._settings.reasoning_parser,
        )

    def _announce_later(self, engine: EngineClient, model: str, addresses: Addresses) -> None:
        announcement = Announcement(model, addresses.url, needs_key(self._settings))
        self._announcing = asyncio.ensure_future(self._announce(engine, announcement))

    async def _announce(self, engine: EngineClient, announcement: Announcement) -> None:
        try:
            info = await engine.wait_ready()
            if self._embedder:
                await self._embedder.wait_ready()
        except EngineDied as error:  # the server logs it
            self._not_loaded = error
            return
        except EmbeddingError:  # the server logs it
            return
        if beyond := self._prepared.tokenizer.added_beyond(info.vocab_size):
            log = structlog.stdlib.get_logger("llm_api.serve")
            log.warning("the model lacks tokens of its tokenizer: prompts with them get 400", tokens=len(beyond), first=beyond[0])
        announcement.show(self._settings.log_format)
