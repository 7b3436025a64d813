"""Reasoning in answers, with the template of a model that reasons."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llguidance
import pytest
from chat.model_folders import model_folder
from service.calls import chat
from service.conftest import Scripted
from service.scripted_engine import ScriptedEngine

from llm_api.chat.template import ChatTemplate
from llm_api.service.engine_service import EngineService, EngineServiceConfig
from llm_api.telemetry.metrics import Metrics
from llm_api.tokenization.tokenizer import Tokenizer

Serve = Callable[[ScriptedEngine], EngineService]
TEXT = "<think>\nA capital.\n</think>\n\nParis."
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "integer"}}}
CALL = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
QUESTION = {"role": "user", "content": "a"}
NOW = {"type": "function", "function": {"name": "now"}}


@pytest.fixture
def serve(tokenizer: Tokenizer, metrics: Metrics, tmp_path: Path) -> Serve:
    template = ChatTemplate(model_folder(tmp_path / "model", "qwen_3"))
    config = EngineServiceConfig(model_name="m", engine_load_timeout=600, engine_stall_timeout=60)
    return lambda engine: EngineService(config, tokenizer, template, engine, metrics)


async def test_an_answer_has_its_reasoning_apart(serve: Serve, scripted: Scripted, tokenizer: Tokenizer, context: Any) -> None:
    answer = await serve(scripted(TEXT)).chat(chat()).infer()
    message = answer.choices[0].message
    assert (message.reasoning_content, message.reasoning, message.content) == ("A capital.", "A capital.", "Paris.")
    thought = len(tokenizer.encode("<think>\nA capital.\n</think>", add_special_tokens=False))
    assert abs(answer.usage.completion_tokens_details.reasoning_tokens - thought) <= 4  # a marker has several tokens here
    assert message.model_dump()["refusal"] is None
    assert "tool_calls" not in message.model_dump()


async def test_a_stream_has_the_same_reasoning(serve: Serve, scripted: Scripted, context: Any) -> None:
    request = chat(stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in serve(scripted(TEXT)).chat(request).stream_infer()]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.reasoning_content or "" for delta in deltas) == "A capital."
    assert "".join(delta.content or "" for delta in deltas) == "Paris."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 0


async def test_reasoning_alone_leaves_the_content_null(serve: Serve, scripted: Scripted) -> None:
    answer = await serve(scripted(TEXT)).chat(chat(max_completion_tokens=6)).infer()
    assert answer.choices[0].message.content is None
    assert answer.choices[0].message.reasoning_content
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("fields", "reasoning", "content"),
    [
        ({"include_reasoning": False}, None, "Paris."),
        ({"enable_thinking": False}, None, TEXT),  # the prompt ends with an empty thought, so that the answer has none
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "continue_final_message": True},
            None,
            TEXT,
        ),
    ],
    ids=["left out", "switched off", "continued"],
)
async def test_an_answer_without_reasoning(
    serve: Serve, scripted: Scripted, fields: dict[str, Any], reasoning: str | None, content: str
) -> None:
    message = (await serve(scripted(TEXT)).chat(chat(**fields)).infer()).choices[0].message
    assert (message.reasoning_content, message.content) == (reasoning, content)


@pytest.mark.parametrize(
    ("fields", "held", "not_held"),
    [
        ({"response_format": SCHEMA}, ["<think>any\ntext</think>\n\n12", "12"], ["<think>any 12", "<think></think>a", "a"]),
        ({"response_format": SCHEMA, "enable_thinking": False}, ["12"], ["<think></think>12"]),
        (
            {"tools": [NOW]},
            ["<think><tool_call></think>text", "plain", "", CALL, f"<think>a</think>\n\n{CALL}"],
            ["<think>a</think><tool_call>x"],
        ),
    ],
    ids=["schema", "schema without reasoning", "tools"],
)
async def test_a_grammar_begins_after_the_reasoning(
    serve: Serve, scripted: Scripted, fields: dict[str, Any], held: list[str], not_held: list[str]
) -> None:
    engine = scripted("ok")
    service = serve(engine)
    await service.chat(chat(**json.loads(json.dumps(fields)))).infer()
    await service.stop()
    grammar = engine.requests[0][1].grammar
    assert grammar is not None
    tokenizer = llguidance.LLTokenizer("byte")
    for text in [*held, *not_held]:
        matcher = llguidance.LLMatcher(tokenizer, grammar, log_level=0)
        assert not matcher.is_error(), matcher.get_error()
        accepted = matcher.consume_tokens(list(text.encode())) and matcher.is_accepting()
        assert accepted == (text in held), text
