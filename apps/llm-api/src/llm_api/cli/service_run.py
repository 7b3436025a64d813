"""Runs the service for `llm-api serve`: gets the model, starts engine and server, and says when it can be used."""

import asyncio
import os
import sys

from rich.console import Console

from llm_api.app import run_api
from llm_api.cli.announcement import Announcement
from llm_api.cli.compose import engine_config, local_service
from llm_api.cli.console import logged_progress, terminal_progress
from llm_api.cli.model import find_model
from llm_api.cli.outcome import CommandError
from llm_api.engine.client import EngineClient
from llm_api.engine.errors import EngineDied
from llm_api.engine.launcher import EngineProcess
from llm_api.server.listening import StartError, check_startable
from llm_api.server.server import Addresses
from llm_api.settings import Settings
from llm_api.telemetry.logs import configure_logs
from llm_api.telemetry.metrics import Metrics

UNEXPLAINED = ("unexpected ", "the engine process ")  # how the engine's failures begin that no setting could mend


class ServiceRun:
    def __init__(self, settings: Settings, process: EngineProcess) -> None:
        self._settings = settings
        self._process = process
        self._on_terminal = sys.stderr.isatty() and settings.log_format != "json"
        self._announcing: asyncio.Task[None] | None = None
        self._not_loaded: str | None = None

    def until_exit(self) -> int:
        """Returns the exit code. Raises CommandError and WeightsError."""
        configure_logs(self._settings.log_level, self._settings.log_format)
        self._check_before_download()
        source = find_model(self._settings, terminal_progress() if self._on_terminal else logged_progress())
        engine, metrics = EngineClient(engine_config(self._settings, source), self._process), Metrics()
        service = local_service(self._settings, source, engine, metrics)
        model = self._settings.model_name or source.name
        exit_code = run_api(self._settings, service, metrics, lambda addresses: self._announce_later(engine, model, addresses))
        return os.EX_CONFIG if exit_code == 1 and self._not_loaded and not self._not_loaded.startswith(UNEXPLAINED) else exit_code

    def _check_before_download(self) -> None:
        try:
            check_startable(self._settings)
        except StartError as error:
            raise CommandError(str(error), error.exit_code) from None

    def _announce_later(self, engine: EngineClient, model: str, addresses: Addresses) -> None:
        needs_key = bool(self._settings.api_keys or self._settings.api_keys_file)
        announcement = Announcement(model, addresses.url, needs_key)
        self._announcing = asyncio.ensure_future(self._announce(engine, announcement))

    async def _announce(self, engine: EngineClient, announcement: Announcement) -> None:
        try:
            await engine.wait_ready()
        except EngineDied as error:  # the server logs it
            self._not_loaded = str(error)
            return
        if self._on_terminal:
            announcement.print(Console(stderr=True))
        else:
            announcement.log()
