from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from service.scripted_engine import ScriptedEngine

from llm_api.chat.template import ChatTemplate
from llm_api.service.engine_service import EngineService, EngineServiceConfig
from llm_api.telemetry.context import REQUEST_CONTEXT, RequestContext
from llm_api.telemetry.metrics import Metrics
from llm_api.tokenization.tokenizer import Tokenizer

Scripted = Callable[..., ScriptedEngine]
Serve = Callable[[ScriptedEngine], EngineService]


@pytest.fixture(scope="session")
def tokenizer(model_path: Path) -> Tokenizer:
    return Tokenizer(model_path)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def context() -> Iterator[RequestContext]:
    """The context of the test's request."""
    context = RequestContext("r")
    token = REQUEST_CONTEXT.set(context)
    yield context
    REQUEST_CONTEXT.reset(token)


@pytest.fixture
def serve(tokenizer: Tokenizer, model_path: Path, metrics: Metrics) -> Serve:
    config = EngineServiceConfig(model_name="smollm2", engine_load_timeout=600, engine_stall_timeout=60)
    template = ChatTemplate(model_path)
    return lambda engine: EngineService(config, tokenizer, template, engine, metrics)


@pytest.fixture
def scripted(tokenizer: Tokenizer) -> Scripted:
    """An engine that generates one of the texts in each sequence."""

    def engine(*texts: str, **options: Any) -> ScriptedEngine:
        return ScriptedEngine([tokenizer.encode(text, add_special_tokens=False) for text in texts], **options)

    return engine
