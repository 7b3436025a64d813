"""Calls of functions by models with formats of their own: arguments that are not JSON, and channels."""

import json
from pathlib import Path
from typing import Any

import llguidance
import pytest
from chat.model_folders import model_folder
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
THOUGHT = "<|channel|>analysis<|message|>I write.<|end|><|start|>assistant"


def allows(grammar: str, text: str) -> bool:
    matcher = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher.consume_tokens(list(text.encode())) and matcher.is_accepting()


def tools(*schemas: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "write", "description": "Write a file", "parameters": schema}} for schema in schemas]


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


@pytest.fixture
def serve_harmony(tokenizer: Tokenizer, metrics: Metrics, tmp_path: Path) -> Any:
    template = ChatTemplate(model_folder(tmp_path / "model", "gpt_oss"))
    config = EngineServiceConfig("m", 600, 60)
    return lambda engine: EngineService(config, tokenizer, template, engine, metrics)


@pytest.mark.parametrize(
    ("text", "content", "arguments"),
    [
        (f'{THOUGHT}<|channel|>commentary to=functions.write <|constrain|>json<|message|>{{"path": "a"}}', None, '{"path": "a"}'),
        (f"{THOUGHT}<|channel|>final<|message|>[1]", "[1]", None),
    ],
)
async def test_harmony_answers_have_reasoning_and_then_a_call_or_a_text(
    serve_harmony: Any, scripted: Scripted, text: str, content: str | None, arguments: str | None
) -> None:
    engine = scripted(text)
    service = serve_harmony(engine)
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array", "items": {"type": "integer"}}}}
    for fields in ({}, {"response_format": form}):
        message = (await service.chat(chat("Write", tools=tools(WRITE), **fields)).infer()).choices[0].message
        assert (message.reasoning_content, message.content) == ("I write.", content)
        assert [call.function.arguments for call in message.tool_calls or ()] == ([arguments] if arguments else [])
        grammar = engine.requests[-1][1].grammar or ""
        assert allows(grammar, text)
        assert allows(grammar, text.replace("[1]", "one")) == (not fields or arguments is not None)
        assert not allows(grammar, text.replace("write <", "read <").replace("final", "other"))
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
