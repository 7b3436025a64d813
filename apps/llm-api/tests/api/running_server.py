"""The real server around a scripted service, or another one, in a thread with its own event loop."""

import asyncio
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
import uvloop
from api.scripted_service import MODEL, ScriptedService
from openai import AsyncOpenAI, OpenAI

from llm_api.app import serve_api
from llm_api.server.server import Addresses
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

CHAT = "/v1/chat/completions"


def chat_body(text: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def key_entry(name: str, key: str) -> str:
    """An entry of API_KEYS."""
    return f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


class ServerThread:
    def __init__(self, service: ModelService, settings: Settings, metrics: Metrics | None = None) -> None:
        self._service = service
        self.metrics = metrics or Metrics()
        self.exit_code: int | None = None
        self._settings = settings
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()
        assert self._listening.wait(10), "the server did not start"

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self.join()

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not end"

    def client(self, **options: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, timeout=10, **options)

    def openai(self, key: str = "none") -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=10)

    def async_openai(self, key: str = "none") -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=10)

    @property
    def address(self) -> tuple[str, int]:
        url = httpx2.URL(self.url)
        return url.host, url.port or 80

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            with suppress(asyncio.CancelledError):
                self.exit_code = runner.run(self._serve())

    async def _serve(self) -> int:
        task = asyncio.current_task()
        assert task
        self._task = task
        return await serve_api(self._settings, self._service, self.metrics, self._on_listening)

    def _on_listening(self, addresses: Addresses) -> None:
        self.url, self.management_url = addresses.url, addresses.management_url
        self._listening.set()


class RunningServer(ServerThread):
    def __init__(self, service: ScriptedService, settings: Settings) -> None:
        super().__init__(service, settings)
        self.service = service


@contextmanager
def running_server(service: ScriptedService | None = None, **settings: Any) -> Iterator[RunningServer]:
    server = RunningServer(service or ScriptedService(), Settings(port=0, **settings))
    server.start()
    try:
        yield server
    finally:
        server.stop()
