from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from default_model import default_model_folder
from engines.engines import Engine, chosen
from openai import OpenAI
from serving.service_process import ServiceProcess, service_process

from llm_api.service.upstream.kinds import KINDS

MODEL = "smol"


@dataclass(frozen=True, slots=True)
class Served:
    """The service in front of one engine."""

    engine: str
    process: ServiceProcess

    @property
    def client(self) -> OpenAI:
        return self.process.client()

    def has(self, field: str) -> bool:
        """Whether this engine honours a request field."""
        return self.engine == "own" or field in KINDS[self.engine].fields  # type: ignore[index]

    def form(self, name: str) -> bool:
        return self.has("structured_outputs") or name in KINDS[self.engine].forms  # type: ignore[index]

    def post(self, path: str, **fields: Any) -> httpx2.Response:
        return httpx2.post(self.process.url + path, json={"model": MODEL, **fields}, timeout=120)


@pytest.fixture(scope="session", params=chosen(), ids=lambda engine: engine.name)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    engine: Engine = request.param
    model = default_model_folder()
    with engine.running(model) as url:
        settings = {"MODEL_NAME": MODEL} | ({"UPSTREAM_URL": url, "MODEL_PATH": ""} if url else {})
        with service_process(model, tmp_path_factory.mktemp(engine.name) / "log", **settings) as process:
            yield Served(engine.name, process)
