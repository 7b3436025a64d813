"""Runs the service for `llm-api serve`: gets the model, starts the engine and the server, and announces when it is ready."""

import asyncio
import json
import os
import shlex
import sys
from dataclasses import dataclass

import structlog
from rich.console import Console
from rich.text import Text

from llm_api.app import run_api
from llm_api.cli.composition import engine_config, engine_service
from llm_api.cli.errors import CommandError
from llm_api.cli.model import find_model, service_progress
from llm_api.engine.client import EngineClient
from llm_api.engine.errors import EngineDied
from llm_api.engine.launcher import EngineProcess
from llm_api.server.listening import StartError, check_startable
from llm_api.server.server import Addresses
from llm_api.settings import Settings
from llm_api.telemetry.logs import configure_logs
from llm_api.telemetry.metrics import Metrics

UNEXPLAINED = ("unexpected ", "the engine process ")  # prefixes of engine failures that no setting can fix
_QUESTION = "What is Kubernetes?"


class ServiceRun:
    def __init__(self, settings: Settings, process: EngineProcess) -> None:
        self._settings = settings
        self._process = process
        self._announcing: asyncio.Task[None] | None = None
        self._not_loaded: str | None = None

    def until_exit(self) -> int:
        """Returns the exit code. Raises CommandError and WeightsError."""
        configure_logs(self._settings.log_level, self._settings.log_format)
        self._check_before_download()
        model = find_model(self._settings, service_progress(self._settings.log_format))
        engine, metrics = EngineClient(engine_config(self._settings, model), self._process), Metrics()
        service = engine_service(self._settings, model, engine, metrics)
        name = self._settings.model_name or model.name
        exit_code = run_api(self._settings, service, metrics, lambda addresses: self._announce_later(engine, name, addresses))
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

    async def _announce(self, engine: EngineClient, announcement: "Announcement") -> None:
        try:
            await engine.wait_ready()
        except EngineDied as error:  # the server logs it
            self._not_loaded = str(error)
            return
        if sys.stderr.isatty() and self._settings.log_format != "json":
            announcement.print(Console(stderr=True))
        else:
            announcement.log()


@dataclass(frozen=True, slots=True)
class Announcement:
    """The message of a service that is ready: its address, and a command to try it."""

    model: str
    url: str
    needs_key: bool

    @property
    def curl(self) -> str:
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": _QUESTION}], "max_tokens": 100})
        key = '-H "authorization: Bearer $API_KEY" ' if self.needs_key else ""
        return f"curl {self.url}/v1/chat/completions {key}-H 'content-type: application/json' -d {shlex.quote(body)}"

    def print(self, console: Console) -> None:
        """The curl command stays on one line, however narrow the terminal, so that it can be copied."""
        ready = Text.assemble(("Ready:", "bold green"), f" {self.model} at ", (self.url, "bold"))
        console.print("", ready, f"Docs:  {self.url}/docs", f"Try:   {self.curl}", sep="\n", markup=False, highlight=False, soft_wrap=True)

    def log(self) -> None:
        log = structlog.stdlib.get_logger("llm_api.serve")
        log.info("ready", model=self.model, url=self.url, docs=f"{self.url}/docs", curl=self.curl)
