"""The real server in front of an engine at some address."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from api.running_server import ServerThread

from llm_api.service.upstream.connection import Target
from llm_api.service.upstream.kinds import KINDS
from llm_api.service.upstream.monitor import Limits
from llm_api.service.upstream.service import UpstreamConfig, UpstreamService
from llm_api.settings import Settings, UpstreamKind
from llm_api.telemetry.metrics import Metrics

NAME = "chat-model"
QUESTION = [{"role": "user", "content": "Hello?"}]


class Front(ServerThread):
    def wait_for(self, path: str, status: int, seconds: float = 15) -> httpx2.Response:
        deadline = time.monotonic() + seconds
        while (response := httpx2.get(self.url + path)).status_code != status:
            assert time.monotonic() < deadline, (path, response.status_code, response.text)
            time.sleep(0.05)
        return response

    def wait_for_metric(self, line: str, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while line not in (text := self.metrics.render().decode()).splitlines():
            assert time.monotonic() < deadline, text
            time.sleep(0.05)

    def post(self, path: str = "/v1/chat/completions", **fields: Any) -> httpx2.Response:
        body = {"model": NAME, **({"messages": QUESTION} if "chat" in path else {}), **fields}
        return httpx2.post(self.url + path, json=body, timeout=20)

    def error(self, path: str = "/v1/chat/completions", **fields: Any) -> tuple[int, dict[str, Any]]:
        response = self.post(path, **fields)
        return response.status_code, response.json()["error"]


@contextmanager
def front(
    url: str,
    kind: UpstreamKind = "vllm",
    *,
    ready: bool = True,
    model: str | None = None,
    key_file: Path | None = None,
    load_timeout: float = 60,
    stall_timeout: float = 60,
    read_timeout: float = 20,
    **settings: Any,
) -> Iterator[Front]:
    config = UpstreamConfig(
        target=Target(url, key_file, 2, read_timeout),
        limits=Limits(load_timeout, stall_timeout),
        kind=None if kind == "auto" else KINDS[kind],
        model=model,
        model_name=NAME,
        request_fields=settings.get("request_fields", "warn"),
    )
    metrics = Metrics()
    server = Front(UpstreamService(config, metrics), Settings(port=0, **settings), metrics)
    server.start()
    try:
        if ready:
            server.wait_for("/readyz", 200)
        yield server
    finally:
        server.stop()
