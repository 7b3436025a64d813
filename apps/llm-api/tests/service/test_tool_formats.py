"""Calls of functions by a model that does not write their arguments as JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from service.calls import chat
from service.conftest import Scripted
from service.scripted_engine import ScriptedEngine

from llm_api.chat.template import ChatTemplate
from llm_api.protocol.errors import ApiError
from llm_api.service.engine_service import EngineService, EngineServiceConfig
from llm_api.telemetry.metrics import Metrics
from llm_api.tokenization.tokenizer import Tokenizer

WRITE: dict[str, Any] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "lines": {"type": "array", "items": {"type": "string"}}},
    "required": ["path"],
}
CALL = (
    "I write it.\n<tool_call>\n<function=write>\n<parameter=path>\na/b.txt\n</parameter>\n"
    '<parameter=lines>\n["1"]\n</parameter>\n</function>\n</tool_call>'
)


def tools(*schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "write", "parameters": schema}} for schema in schemas]


@pytest.fixture
def serve_qwen(tokenizer: Tokenizer, model_path: Path, metrics: Metrics) -> Any:
    config = EngineServiceConfig("m", 600, 60, tool_parser="qwen3_coder")

    def service(engine: ScriptedEngine) -> EngineService:
        return EngineService(config, tokenizer, ChatTemplate(model_path), engine, metrics)

    return service


async def test_arguments_are_json_and_a_stream_has_the_same(serve_qwen: Any, scripted: Scripted) -> None:
    service = serve_qwen(scripted(CALL))
    message = (await service.chat(chat("Write", tools=tools(WRITE))).infer()).choices[0].message
    assert message.content == "I write it."
    assert json.loads(message.tool_calls[0].function.arguments) == {"path": "a/b.txt", "lines": ["1"]}
    streamed = serve_qwen(scripted(CALL)).chat(chat("Write", tools=tools(WRITE), stream=True)).stream_infer()
    chunks = [chunk async for chunk in streamed]
    deltas = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]
    assert "".join(delta.function.arguments or "" for delta in deltas) == message.tool_calls[0].function.arguments
    await service.stop()


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "object", "anyOf": [WRITE, WRITE]}, ".anyOf"),
        ({"type": "object", "properties": {"a": {"type": "object", "not": {}}}}, ".properties.a.not"),
    ],
)
async def test_a_schema_that_cannot_be_held_is_refused_with_its_place(
    serve_qwen: Any, scripted: Scripted, schema: dict[str, Any], path: str
) -> None:
    engine = scripted(CALL)
    service = serve_qwen(engine)
    with pytest.raises(ApiError) as refused:
        await service.chat(chat("Write", tools=tools(schema))).infer()
    assert (refused.value.status, refused.value.param) == (400, f"tools[0].function.parameters{path}")
    assert engine.requests == []
    await service.stop()
