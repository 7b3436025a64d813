"""Arguments that models write as keys and values, and the schemas that they can be held to."""

import json
import random
from pathlib import Path
from typing import Any

import llguidance
import pytest

from llm_api.chat.tools.call_format import CallFormat
from llm_api.chat.tools.formats import BY_NAME
from llm_api.grammar.json_schema import SchemaRefused
from llm_api.grammar.lark import grammar

QWEN, GLM, PYTHONIC = BY_NAME["qwen3_coder"], BY_NAME["glm45"], BY_NAME["pythonic"]
BYTES = 256


@pytest.fixture(scope="module")
def tokenizer() -> llguidance.LLTokenizer:
    return llguidance.LLTokenizer("byte")


def function(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more}


def read(call_format: CallFormat, schema: dict[str, Any], text: str) -> str:
    """The JSON of the arguments `text`, which is the same in all pieces."""
    found = set()
    for seed in range(20):
        chance, reader, left, pieces = random.Random(seed), call_format.reader(schema), text + call_format.after_arguments, []
        rest = None
        while left and rest is None:
            size = chance.randint(1, 9)
            piece, rest = reader.read(left[:size])
            pieces.append(piece)
            left = left[size:]
        assert rest is not None
        assert rest + left == call_format.after_arguments
        found.add("".join(pieces))
    assert len(found) == 1
    return found.pop()


def allows(tokenizer: llguidance.LLTokenizer, call_format: CallFormat, schema: dict[str, Any], text: str) -> bool:
    """Whether the model may write these arguments."""
    matcher = llguidance.LLMatcher(tokenizer, grammar(call_format.arguments(schema, {})), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher.consume_tokens(list(text.encode())) and matcher.is_accepting()


def qwen(**values: str) -> str:
    return "".join(f"\n<parameter={key}>\n{value}\n</parameter>" for key, value in values.items())


TYPED = function(
    {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "on": {"type": "boolean"},
        "list": {"type": "array", "items": {"type": "string"}},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
)


@pytest.mark.parametrize(
    ("call_format", "text"),
    [
        (QWEN, qwen(text='7\n"<\\é', count="-7", on="true", list='["a]"]', maybe="null")),
        (
            GLM,
            '\n<arg_key>text</arg_key>\n<arg_value>7\n"<\\é</arg_value>\n<arg_key>count</arg_key>\n<arg_value>-7</arg_value>'
            "\n<arg_key>on</arg_key>\n<arg_value>true</arg_value>"
            '\n<arg_key>list</arg_key>\n<arg_value>["a]"]</arg_value>\n<arg_key>maybe</arg_key>\n<arg_value>null</arg_value>',
        ),
        (PYTHONIC, r'text="7\n\"<\\é", count=-7, on=true, list=["a]"], maybe=null'),
    ],
    ids=["qwen3_coder", "glm45", "pythonic"],
)
def test_values_have_the_types_of_the_schema(tokenizer: llguidance.LLTokenizer, call_format: CallFormat, text: str) -> None:
    expected = {"text": '7\n"<\\é', "count": -7, "on": True, "list": ["a]"], "maybe": None}
    assert json.loads(read(call_format, TYPED, text)) == expected
    assert allows(tokenizer, call_format, TYPED, text)


def test_text_that_begins_as_the_end_does_is_part_of_the_value() -> None:
    for value in ("", "\n", "\n</param", "a\n</\n</parameter", "nul", "nulls", "</parameter>"):
        arguments = json.loads(read(QWEN, TYPED, qwen(text=value, maybe=value)))
        assert arguments == {"text": value, "maybe": value}


def test_no_arguments_are_an_empty_object() -> None:
    assert read(QWEN, {}, "") == "{}"
    assert read(PYTHONIC, {}, "") == "{}"


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"type": "string"}, ["", "a", "x\n\ny<"], ["a\n</parameter>b"]),
        ({"type": "string", "enum": ["red", "green"]}, ["red", "green"], ["", "re", "reds", '"red"']),
        ({"const": "red"}, ["red"], ["green"]),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "\n\né"], ["a", "abcd"]),
        ({"type": "string", "minLength": 1}, ["a", "\n", "\n</parameter"], ["", "\n</parameter>"]),
        ({"type": "string", "minLength": 14}, ["\n</parameter<<"], ["\n</parameter>", "x\n</parameter>"]),
        ({"type": "string", "pattern": "^[a-z]+$", "maxLength": 64}, ["ab"], ["a1", ""]),
        ({"type": "string", "pattern": "^[a-z]{2,3000}$"}, ['"ab"'], ["ab", '"a"']),
        ({"type": "string", "pattern": "a{2,3}"}, ['"baa"'], ["baa", '"ba"']),
        ({"type": "string", "pattern": "^a/[0-9]+$"}, ["a/12"], ["a/", "xa/1", "a/1x"]),
        ({"type": "string", "pattern": r"^\S+$"}, ["a/"], ["\x1f"]),
        ({"type": "string", "pattern": "a|b$"}, ['"xax"', '"b"'], ["xax", '"c"']),
        ({"type": "string", "pattern": "[$^]|b"}, ["x$", "cb"], ["c"]),
        ({"type": "string", "format": "date"}, ['"2026-12-01"'], ["2026-12-01", '"x"']),
        ({"type": ["string", "null"], "maxLength": 2}, ["null", "ab"], ["abc", "nul"]),
        ({"enum": ["a", None]}, ["a", "null"], ["b"]),
        ({"enum": ["a", 1]}, ['"a"', "1"], ["a"]),
        ({"type": "string", "enum": ["\n</parameter>"]}, ['"\\n</parameter>"'], []),
        ({"type": "integer", "maximum": 9}, ["9"], ["10", "", '"9"']),
        ({"$ref": "#/$defs/Color", "description": "The color"}, ["red"], ["blue"]),
        ({"allOf": [{"$ref": "#/$defs/Color"}]}, ["red"], ["blue"]),
        ({"type": "array", "items": {"$ref": "#/$defs/Color"}}, ['["red"]'], ['["blue"]']),
        ({"type": "array", "items": {"$ref": "#/properties/other"}}, ["[3]"], ["[10]"]),
        (True, ["1", '"a"'], ["a"]),
    ],
)
def test_values_are_held_to_their_schema(tokenizer: llguidance.LLTokenizer, schema: Any, valid: list[str], invalid: list[str]) -> None:
    colors = {"Color": {"type": "string", "enum": ["red"]}}
    held = function({"a": schema, "other": {"type": "integer", "maximum": 9}}, **{"$defs": colors})
    for text in valid:
        assert allows(tokenizer, QWEN, held, qwen(a=text)), text
    for text in invalid:
        assert not allows(tokenizer, QWEN, held, qwen(a=text)), text


def test_required_keys_are_there_and_each_is_there_once(tokenizer: llguidance.LLTokenizer) -> None:
    schema = function({key: {"type": "string"} for key in "abc"}, required=["b"])
    assert allows(tokenizer, QWEN, schema, qwen(b="1"))
    assert allows(tokenizer, QWEN, schema, qwen(a="1", b="2", c="3"))
    for text in ("", qwen(a="1"), qwen(b="1") + qwen(b="2"), qwen(b="1", d="2")):
        assert not allows(tokenizer, QWEN, schema, text)
    assert allows(tokenizer, PYTHONIC, schema, 'b="1", c="2"')
    for text in ('b="1",', ', b="1"', 'b="1"c="2"'):
        assert not allows(tokenizer, PYTHONIC, schema, text)


def test_other_keys_are_as_additional_properties_say(tokenizer: llguidance.LLTokenizer) -> None:
    schema = function({"a": {"type": "string"}}, additionalProperties={"type": "integer"}, required=["n"])
    text = qwen(a="x", n="1", more="2")
    assert allows(tokenizer, QWEN, schema, text)
    assert json.loads(read(QWEN, schema, text)) == {"a": "x", "n": 1, "more": 2}
    assert not allows(tokenizer, QWEN, schema, qwen(a="x", n="1", more="y"))
    assert not allows(tokenizer, QWEN, function({"a": {"type": "string"}}), qwen(b="1"))


def test_a_key_that_comes_again_is_left_out() -> None:
    schema = function({}, additionalProperties={"type": "string"})
    assert read(QWEN, schema, qwen(a="1") + qwen(a="2") + qwen(b="3")) == '{"a": "1", "b": "3"}'


def test_the_schema_of_the_function_may_be_behind_a_reference(tokenizer: llguidance.LLTokenizer) -> None:
    place = function({"at": {"$ref": "#/$defs/Point"}}, required=["at"])
    schema = {"$ref": "#/$defs/Place", "$defs": {"Place": place, "Point": {"type": "array", "items": {"type": "integer"}}}}
    assert allows(tokenizer, QWEN, schema, qwen(at="[1]"))
    assert not allows(tokenizer, QWEN, schema, qwen(at='["x"]'))
    assert read(QWEN, schema, qwen(at="[1]")) == '{"at": [1]}'


@pytest.mark.parametrize(
    ("call_format", "text"),
    [
        (QWEN, '\n<parameter=a "b">\n1\n</parameter>\n<parameter=x-(é,)>\n2\n</parameter>'),
        (PYTHONIC, 'a "b"="1", x-(é,)="2"'),
    ],
    ids=["qwen3_coder", "pythonic"],
)
def test_keys_may_have_any_characters_that_do_not_end_them(tokenizer: llguidance.LLTokenizer, call_format: CallFormat, text: str) -> None:
    schema = function({'a "b"': {"type": "string"}, "x-(é,)": {"type": "string"}})
    assert allows(tokenizer, call_format, schema, text)
    assert json.loads(read(call_format, schema, text)) == {'a "b"': "1", "x-(é,)": "2"}


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "object", "anyOf": [{}]}, ".anyOf"),
        ({"type": "object", "patternProperties": {}}, ".patternProperties"),
        ({"type": "object", "minProperties": 1}, ".minProperties"),
        ({"type": "string"}, ".type"),
        ({"$ref": "https://example.com/a"}, ".$ref"),
        ({"$ref": "#"}, ".$ref"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "not": {}}}}, ".$defs.A.not"),
        (function({"a>b": {}}), ".properties"),
        (function({"a": False}), ".properties.a"),
        (function({"a": {"type": "array", "items": {"x-guidance": {}}}}), ".properties.a.items.x-guidance"),
        (function({}, required=["a"], additionalProperties=False), ".required"),
    ],
)
def test_a_schema_that_cannot_be_held_is_refused_with_its_keyword(schema: dict[str, Any], path: str) -> None:
    with pytest.raises(SchemaRefused) as refused:
        QWEN.arguments(schema, {})
    assert refused.value.path == path


def test_the_end_of_a_value_may_be_a_special_token(tokenizer: llguidance.LLTokenizer) -> None:
    expression = GLM.arguments(function({"a": {"type": "string"}}), {"</arg_value>": 256})
    assert "<[256]>" in expression


@pytest.mark.parametrize("limits", [{"maxLength": 2000}, {"minLength": 256}, {"pattern": "^[^#]+$", "maxLength": 256}])
def test_a_long_text_with_limits_has_few_enough_states_to_be_written(model_path: Path, limits: dict[str, Any]) -> None:
    tokenizer = llguidance.LLTokenizer(str(model_path / "tokenizer.json"))
    matcher = llguidance.LLMatcher(tokenizer, grammar(QWEN.arguments(function({"a": {"type": "string"} | limits}), {})), log_level=0)
    text = 'def f(x):\n    return "</div>"\n' * (8 if "pattern" in limits else 20)
    for token_id in tokenizer.tokenize_str(qwen(a=text)):
        matcher.compute_bitmask()
        assert matcher.consume_token(token_id), matcher.get_error()
    assert matcher.is_accepting()
