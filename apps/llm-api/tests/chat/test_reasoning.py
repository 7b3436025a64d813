"""Reasoning is separated from the answer, however the text is cut; no character is lost or doubled."""

import random
from pathlib import Path

import pytest
from chat.model_folders import TEMPLATES

from llm_api.chat.output.parts import Content, OutputPart, PlainOutput, Reasoning, ToolCallStart
from llm_api.chat.output.reasoning import ReasoningParser
from llm_api.chat.output.reasoning_formats import BY_NAME, FORMATS, ReasoningFormat, reasoning_format_of
from llm_api.chat.tools.formats import HERMES
from llm_api.chat.tools.parser import ToolCallParser

THOUGHT, ANSWER = "First < this.\n\nThen </thin that.", "An  answer.\n\nWith <think> in it."
THINK = BY_NAME["think"]
DETECTED = {"glm_4_5": "think", "gpt_oss": "harmony", "qwen_3": "think", "smollm_3": "think", "deepseek_r1": "think"}
PLAIN = ("chatml", "llama_3_1", "qwen_2_5", "smollm_2", "mistral_v3", "gemma_3")


def parsed(parser: ReasoningParser, text: str, chance: random.Random) -> list[OutputPart]:
    parts: list[OutputPart] = []
    while text:
        size = chance.randint(1, 9)
        parts += parser.push(text[:size])
        text = text[size:]
    return parts + parser.finish()


def texts(parts: list[OutputPart]) -> tuple[str, str]:
    """Reasoning and content."""
    reasoning = "".join(part.text for part in parts if isinstance(part, Reasoning))
    return reasoning, "".join(part.text for part in parts if isinstance(part, Content))


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
@pytest.mark.parametrize("begun", [True, False], ids=["in the prompt", "in the answer"])
def test_reasoning_and_answer_are_apart(known: ReasoningFormat, begun: bool) -> None:
    start = "" if begun else known.start
    for seed in range(40):
        parser = ReasoningParser(known, PlainOutput(), begun=begun)
        parts = parsed(parser, f"{start}\n{THOUGHT}\n{known.end}\n\n{ANSWER}", random.Random(seed))
        assert texts(parts) == (THOUGHT, ANSWER)


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
@pytest.mark.parametrize("text", ["", " ", ANSWER, "<", "<thin", "  spaced ", "Here is my"])
def test_text_without_reasoning_is_unchanged(known: ReasoningFormat, text: str) -> None:
    for seed in range(5):
        assert texts(parsed(ReasoningParser(known, PlainOutput(), begun=False), text, random.Random(seed))) == ("", text)


def test_reasoning_that_never_ends_is_all_reasoning() -> None:
    parser = ReasoningParser(THINK, PlainOutput(), begun=False)
    assert parser.push("<think>so") == [Reasoning("so")]
    assert parser.in_reasoning
    assert texts(parsed(parser, " on </thi", random.Random(1))) == (" on </thi", "")


def test_a_marker_before_an_answer_without_reasoning_is_left_out() -> None:
    parser = ReasoningParser(BY_NAME["harmony"], PlainOutput(), begun=False)
    assert texts(parsed(parser, f"<|channel|>final<|message|>{ANSWER}", random.Random(1))) == ("", ANSWER)


def test_reasoning_may_be_left_out() -> None:
    parser = ReasoningParser(THINK, PlainOutput(), begun=False, included=False)
    assert texts(parsed(parser, f"<think>{THOUGHT}</think>{ANSWER}", random.Random(1))) == ("", ANSWER)


def test_calls_of_functions_follow_the_reasoning() -> None:
    call = '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    parser = ReasoningParser(THINK, ToolCallParser(HERMES, {}), begun=False)
    parts = parsed(parser, f"<think>\nI need {call}\n</think>\n\n{call}", random.Random(1))
    assert texts(parts) == (f"I need {call}", "")
    assert [part.name for part in parts if isinstance(part, ToolCallStart)] == ["now"]


@pytest.mark.parametrize("template", sorted([*DETECTED, *PLAIN]))
def test_the_format_is_that_of_the_template(template: str) -> None:
    found = reasoning_format_of("auto", [Path(TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")])
    assert (found.name if found else None) == DETECTED.get(template)


def test_the_format_may_be_set() -> None:
    assert reasoning_format_of("magistral", ["</think>"]) is BY_NAME["magistral"]
    assert reasoning_format_of("none", ["</think>"]) is None
