"""Every call format: its grammar writes what its parser reads, for any schema, in any pieces."""

import json
import random
from pathlib import Path
from typing import Any

import jsonschema
import llguidance
import numpy as np
import pytest
from chat.model_folders import TEMPLATES
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from llm_api.chat.output.parts import Content, OutputPart, Reasoning, ToolCallArguments, ToolCallStart
from llm_api.chat.output.reasoning import ReasoningParser
from llm_api.chat.output.reasoning_grammar import after_reasoning
from llm_api.chat.tools.call_format import CallFormat, call_rules
from llm_api.chat.tools.formats import BY_NAME, FORMATS, call_format_of, detect
from llm_api.chat.tools.parser import ToolCallParser
from llm_api.grammar.lark import grammar

MAX_TOKENS = 4000
SHORT = {"type": "string", "maxLength": 8}
POINT = {"type": "object", "properties": {"x": SHORT}, "required": ["x"], "additionalProperties": False}
FUNCTIONS: dict[str, dict[str, Any]] = {
    "now": {"type": "object", "properties": {}, "additionalProperties": False},
    "get_weather": {
        "type": "object",
        "properties": {"city": SHORT, "days": {"type": "integer", "minimum": 0, "maximum": 9}, "tags": {"enum": ["a}", '"]', "\\"]}},
        "required": ["city", "tags"],
        "additionalProperties": False,
    },
    "find": {
        "type": "object",
        "properties": {
            "text": SHORT,
            "near": {"$ref": "#/$defs/Near"},
            "unit": {"type": "string", "enum": ["a<b/", "c\n d", "null"]},
            "note": {"anyOf": [{"type": "string", "maxLength": 4}, {"type": "null"}], "default": None},
            "code": {"type": "string", "pattern": "^[a-z]{2}/[0-9]$"},
            "like": {"type": ["string", "null"], "pattern": "a|b", "maxLength": 3},
            "codes": {"type": "array", "items": {"$ref": "#/properties/code"}, "maxItems": 2},
            "same": {"type": "boolean"},
            "kind": {"$ref": "#/$defs/Kind", "description": "What it is"},
        },
        "required": ["near", "kind"],
        "additionalProperties": False,
        "$defs": {
            "Near": {"type": "object", "properties": {"at": {"$ref": "#/$defs/Point"}}, "required": ["at"], "additionalProperties": False},
            "Point": POINT,
            "Kind": {"enum": ["x", "</parameter>", "</arg_value>", 'y"']},
        },
    },
    "label": {"type": "object", "properties": {"name": SHORT}, "additionalProperties": SHORT},
    "move": {
        "type": "object",
        "properties": {"path": {"type": "array", "items": POINT, "maxItems": 2}},
        "required": ["path"],
        "additionalProperties": False,
    },
}
HARMONY = ("<|channel|>", "<|message|>", "<|constrain|>", "<|start|>", "<|end|>")
SPECIAL = (*HARMONY, "[TOOL_CALLS]", "[ARGS]", "<|tool_call|>")
DEEPSEEK = ("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>")
KIMI = tuple(f"<|tool_call{rest}|>" for rest in ("s_section_begin", "s_section_end", "_begin", "_argument_begin", "_end"))
DETECTED = {
    "deepseek_v3": "deepseek_v3",
    "glm_4_5": "glm45",
    "gpt_oss": "harmony",
    "hermes_3_tools": "hermes",
    "llama_3_1": "llama3_json",
    "mistral_nemo": "mistral",
    "mistral_v3": "mistral",
    "qwen_2_5": "hermes",
    "qwen_3": "hermes",
    "qwen_3_coder": "qwen3_coder",
    "smollm_2": "hermes",
    "smollm_3": "hermes",
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> llguidance.LLTokenizer:
    """A token for each byte, and the special tokens of all formats."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({character: index for index, character in enumerate(alphabet)}, []))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, special=True) for token in ("</s>", *SPECIAL, *DEEPSEEK, *KIMI)])
    file = tmp_path_factory.mktemp("bytes") / "tokenizer.json"
    made.save(str(file))
    return llguidance.LLTokenizer(str(file), eos_token=made.token_to_id("</s>"))


@pytest.fixture(scope="module")
def special(tokenizer: llguidance.LLTokenizer) -> dict[str, int]:
    return {token: tokenizer.tokenize_str(token, parse_special=True)[0] for token in (*SPECIAL, *DEEPSEEK, *KIMI)}


def written(tokenizer: llguidance.LLTokenizer, special: dict[str, int], text: str, chance: random.Random) -> str:
    """A random text of the grammar."""
    matcher = llguidance.LLMatcher(tokenizer, text, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    names = {token_id: token for token, token_id in special.items()}
    pieces: list[bytes] = []
    while not matcher.is_stopped():
        assert len(pieces) < MAX_TOKENS, b"".join(pieces)[-600:]
        allowed = np.flatnonzero(np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little"))
        token_id = int(chance.choice(allowed))
        assert matcher.consume_token(token_id)
        pieces.append(names[token_id].encode() if token_id in names else tokenizer.decode_bytes([token_id]))
    return b"".join(pieces).removesuffix(b"</s>").decode()


def parsed(call_format: CallFormat, text: str, chance: random.Random, forced: bool = False) -> list[OutputPart]:
    parser, parts = ToolCallParser(call_format, FUNCTIONS, forced), []
    while text:
        size = chance.randint(1, 12)
        parts += parser.push(text[:size])
        text = text[size:]
    return parts + parser.finish()


def content(parts: list[OutputPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Content))


def calls(parts: list[OutputPart]) -> list[tuple[str, str]]:
    """Names and arguments."""
    starts = [part for part in parts if isinstance(part, ToolCallStart)]
    assert [start.index for start in starts] == list(range(len(starts)))
    assert len({start.id for start in starts}) == len(starts)
    return [
        (start.name, "".join(part.text for part in parts if isinstance(part, ToolCallArguments) and part.index == start.index))
        for start in starts
    ]


@pytest.mark.parametrize("call_format", FORMATS, ids=lambda call_format: call_format.name)
@pytest.mark.parametrize("parallel", [True, False], ids=["parallel", "single"])
def test_what_the_grammar_writes_is_read_as_valid_calls(
    tokenizer: llguidance.LLTokenizer, special: dict[str, int], call_format: CallFormat, parallel: bool
) -> None:
    arguments = {name: call_format.arguments(schema, special) for name, schema in FUNCTIONS.items()}
    rules = call_rules(call_format, arguments, special, "required", parallel)
    numbers = set()
    for seed in range(12):
        chance = random.Random(seed)
        parts = parsed(call_format, written(tokenizer, special, grammar(*rules), chance), chance, forced=True)
        assert content(parts) == ""
        for name, text in calls(parts):
            jsonschema.validate(json.loads(text), FUNCTIONS[name])
        numbers.add(len(calls(parts)))
    assert min(numbers) == 1
    assert (max(numbers) > 1) == (parallel and call_format.between is not None)


@pytest.mark.parametrize("call_format", FORMATS, ids=lambda call_format: call_format.name)
def test_a_named_function_is_called_once(tokenizer: llguidance.LLTokenizer, special: dict[str, int], call_format: CallFormat) -> None:
    rules = call_rules(call_format, {"now": call_format.arguments(FUNCTIONS["now"], special)}, special, "named", parallel=True)
    chance = random.Random(1)
    parts = parsed(call_format, written(tokenizer, special, grammar(*rules), chance), chance, forced=True)
    assert [(name, json.loads(text)) for name, text in calls(parts)] == [("now", {})]


@pytest.mark.parametrize("call_format", FORMATS, ids=lambda call_format: call_format.name)
def test_in_the_mode_auto_a_call_is_held_to_its_schema_once_it_has_begun(
    tokenizer: llguidance.LLTokenizer, special: dict[str, int], call_format: CallFormat
) -> None:
    arguments = {name: call_format.arguments(schema, special) for name, schema in FUNCTIONS.items()}
    text = grammar(*call_rules(call_format, arguments, special, "auto", parallel=True))
    before = "" if call_format.only_at_start else "Let me see.\n\n"
    begun = before + call_format.trigger

    def follows(prefix: str, *, ends: bool) -> bool:
        matcher = llguidance.LLMatcher(tokenizer, text, log_level=0)
        return matcher.consume_tokens(tokenizer.tokenize_str(prefix, parse_special=True)) and (matcher.is_accepting() or not ends)

    assert follows(call_format.before_text + "Just an answer.", ends=True)
    assert not follows(begun, ends=True)
    called = "now" + call_format.before_arguments + ("" if call_format.keyed else "{}") + call_format.after_arguments
    assert follows(before + call_format.beginning + called, ends=False)
    assert not follows(before + call_format.beginning + "unknown", ends=False)
    wrong = f"{call_format.keyed.before_key}days{call_format.keyed.after_key}10" if call_format.keyed else '{"city": 1'
    assert not follows(before + call_format.beginning + "get_weather" + call_format.before_arguments + wrong, ends=False)


@pytest.mark.parametrize("call_format", FORMATS, ids=lambda call_format: call_format.name)
@pytest.mark.parametrize("text", ["", "a", "  spaced  ", "<tool <", "see [TOOL", "a\n\nb <tool_cal", 'say {"name": "x"}'])
def test_text_without_a_call_is_unchanged(call_format: CallFormat, text: str) -> None:
    for seed in range(5):
        assert content(parsed(call_format, text, random.Random(seed))) == text


def test_text_before_a_call_is_content_and_space_before_it_is_not() -> None:
    text = 'Let me look. \n\n<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>'
    for seed in range(20):
        parts = parsed(BY_NAME["hermes"], text, random.Random(seed))
        assert (content(parts), calls(parts)) == ("Let me look.", [("now", "{}")])


def test_a_call_that_is_cut_keeps_the_arguments_so_far() -> None:
    text = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Par'
    assert calls(parsed(BY_NAME["hermes"], text, random.Random(0))) == [("get_weather", '{"city": "Par')]
    assert parsed(BY_NAME["hermes"], text[:24], random.Random(0)) == []


@pytest.mark.parametrize("template", sorted(DETECTED))
def test_the_format_is_that_of_the_template(template: str) -> None:
    assert detect([Path(TEMPLATES / f"{template}.jinja").read_text(encoding="utf-8")]).name == DETECTED[template]


def test_the_format_may_be_set() -> None:
    assert call_format_of("mistral", ["<tool_call>"]) is BY_NAME["mistral"]
    assert call_format_of("auto", ["<tool_call>"]) is BY_NAME["hermes"]
    assert call_format_of("none", ["<tool_call>"]) is None


@pytest.mark.parametrize(
    ("text", "reasoning", "answer", "found"),
    [
        ("<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi", "Hm.", "Hi", []),
        ("<|channel|>final<|message|>commentary to=functions.", "", "commentary to=functions.", []),
        (
            "<|channel|>analysis<|message|>H<|end|><|start|>assistant<|channel|>commentary to=functions.b <|constrain|>json<|message|>{}",
            "H", "", [("b", "{}")],
        ),
        ("<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}", "", "", [("now", "{}")]),
        ("<|channel|>fin", "", "", []),
        ("<|channel|>commentary to", "", "", []),
    ],
)  # fmt: skip
def test_harmony_says_in_the_channel_whether_a_call_or_a_text_follows(
    text: str, reasoning: str, answer: str, found: list[tuple[str, str]]
) -> None:
    for seed in range(20):
        chance, harmony, left = random.Random(seed), BY_NAME["harmony"], text
        assert harmony.reasoning is not None
        parser = ReasoningParser(harmony.reasoning, ToolCallParser(harmony, {}), begun=False)
        parts: list[OutputPart] = []
        while left:
            size = chance.randint(1, 12)
            parts += parser.push(left[:size])
            left = left[size:]
        parts += parser.finish()
        assert "".join(part.text for part in parts if isinstance(part, Reasoning)) == reasoning
        assert (content(parts), calls(parts)) == (answer, found)


def test_harmony_reasons_before_a_call_or_a_text(tokenizer: llguidance.LLTokenizer, special: dict[str, int]) -> None:
    harmony = BY_NAME["harmony"]
    assert harmony.reasoning is not None
    start, rules = call_rules(harmony, {"now": harmony.arguments(None, special)}, special, "auto", parallel=True)
    text = grammar(*after_reasoning(harmony.reasoning, start, rules, special, begun=False))
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    call = "<|channel|>commentary to=functions.now <|constrain|>json<|message|>{}"
    for answer in ("<|channel|>final<|message|>Hi.", call):
        for written in (answer, thought + answer):
            matcher = llguidance.LLMatcher(tokenizer, text, log_level=0)
            assert not matcher.is_error(), matcher.get_error()
            assert matcher.consume_tokens(tokenizer.tokenize_str(written, parse_special=True)), written
            assert matcher.is_accepting(), written
    matcher = llguidance.LLMatcher(tokenizer, text, log_level=0)
    assert not matcher.consume_tokens(tokenizer.tokenize_str(call.replace("now", "later"), parse_special=True))


@pytest.mark.parametrize(
    ("parameters", "extra"),
    [
        ({"type": "object", "properties": {}}, False),
        ({"properties": {"a": {"type": "integer"}}}, False),
        ({"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}, True),
        ({"type": "object", "patternProperties": {"^z": {"type": "integer"}}}, True),
    ],
)
def test_a_call_has_no_other_arguments_than_its_function_declares(parameters: dict[str, Any], extra: bool) -> None:
    matcher = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), grammar(BY_NAME["hermes"].arguments(parameters, {})), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    assert matcher.deep_copy().consume_tokens(list(b"{}"))
    assert bool(matcher.deep_copy().consume_tokens(list(b'{"z": 1}'))) == extra
