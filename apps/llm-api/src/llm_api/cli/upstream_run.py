"""Runs the service for `llm-api serve` with UPSTREAM_URL: the engine behind it is another server."""

import asyncio

from llm_api.app import run_api
from llm_api.cli.announcement import Announcement, needs_key
from llm_api.server.server import Addresses
from llm_api.service.upstream.connection import Target
from llm_api.service.upstream.kinds import KINDS
from llm_api.service.upstream.monitor import Limits
from llm_api.service.upstream.service import DEFAULT_MAX_NUM_SEQS, UpstreamConfig, UpstreamService
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics


class UpstreamRun:
    def __init__(self, settings: Settings, url: str) -> None:
        self._settings = settings
        self._url = url.rstrip("/").removesuffix("/v1")
        self._announcing: asyncio.Task[None] | None = None

    def until_exit(self) -> int:
        """Returns the exit code."""
        metrics = Metrics()
        service = UpstreamService(self._config(), metrics)

        def on_listening(addresses: Addresses) -> None:
            self._announcing = asyncio.ensure_future(self._announce(service, addresses))

        return run_api(self._settings, service, metrics, on_listening)

    def _config(self) -> UpstreamConfig:
        settings = self._settings
        return UpstreamConfig(
            target=Target(self._url, settings.upstream_api_key_file, settings.upstream_connect_timeout, settings.upstream_read_timeout),
            limits=Limits(settings.engine_load_timeout, settings.engine_stall_timeout),
            kind=None if settings.upstream_kind == "auto" else KINDS[settings.upstream_kind],
            model=settings.upstream_model,
            model_name=settings.model_name,
            max_num_seqs=settings.max_num_seqs or DEFAULT_MAX_NUM_SEQS,
            request_fields=settings.request_fields,
        )

    async def _announce(self, service: UpstreamService, addresses: Addresses) -> None:
        await service.wait_ready()
        Announcement(service.models()[0].id, addresses.url, needs_key(self._settings)).show(self._settings.log_format)
