"""Which objects may have properties that their schema does not list."""

from typing import Any

import llguidance
import pytest

from llm_api.grammar.closed_objects import closed
from llm_api.grammar.json_schema import schema_expression
from llm_api.grammar.lark import grammar

A: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


def allows(schema: Any, text: str) -> bool:
    matcher = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), grammar(schema_expression(schema)), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    return matcher.consume_tokens(list(text.encode())) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("schema", "listed", "other"),
    [
        (A, '{"a":1}', '{"a":1,"b":2}'),
        ({"properties": {"a": {}}}, '{"a":1}', '{"b":2}'),
        ({"type": "object", "properties": {"x": A}}, '{"x":{"a":1}}', '{"x":{"a":1,"b":2}}'),
        ({"type": "array", "items": A}, '[{"a":1}]', '[{"a":1,"b":2}]'),
        ({"type": "array", "prefixItems": [A]}, '[{"a":1}]', '[{"a":1,"b":2}]'),
        ({"$defs": {"a": A}, "$ref": "#/$defs/a"}, '{"a":1}', '{"a":1,"b":2}'),
        ({"$defs": {"a": A}, "anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}, '{"a":1}', '{"a":1,"b":2}'),
        ({"$defs": {"a": A}, "properties": {"x": {"allOf": [{"$ref": "#/$defs/a"}]}}}, '{"x":{"a":1}}', '{"x":{"a":1,"b":2}}'),
        ({"type": "object", "additionalProperties": A}, '{"x":{"a":1}}', '{"x":{"a":1,"b":2}}'),
    ],
)
def test_an_object_has_the_properties_that_its_schema_lists(schema: Any, listed: str, other: str) -> None:
    assert allows(schema, listed)
    assert not allows(schema, other)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "object"}, '{"b":2}'),
        ({**A, "additionalProperties": True}, '{"a":1,"b":2}'),
        ({**A, "additionalProperties": {"type": "integer"}}, '{"a":1,"b":2}'),
        ({**A, "patternProperties": {"^b": {"type": "integer"}}}, '{"a":1,"b":2}'),
        ({"type": "object", "properties": {"a": {}}, "required": ["b"]}, '{"b":2}'),
        ({"allOf": [A, {"type": "object", "properties": {"b": {}}, "required": ["b"]}]}, '{"a":1,"b":2}'),
        ({**A, "anyOf": [{"type": "object", "properties": {"b": {}}, "required": ["b"]}]}, '{"a":1,"b":2}'),
        ({"$defs": {"a": A}, "$ref": "#/$defs/a", "properties": {"b": {}}}, '{"a":1,"b":2}'),
    ],
    ids=["lists none", "true", "a schema", "patterns", "requires another", "all of two", "any of, and its own", "reference, and its own"],
)
def test_an_object_may_have_others_if_its_schema_says_something_about_them(schema: Any, text: str) -> None:
    assert allows(schema, text)


@pytest.mark.parametrize("keyword", ["oneOf", "not", "if", "contains", "dependentSchemas"])
def test_schemas_with_conditions_stay_as_they_are(keyword: str) -> None:
    """{"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]} allows {"a": 1} only if its branches are closed."""
    schema = {"properties": {"x": {keyword: [A]}, "y": A}}
    assert closed(schema) == schema


def test_names_of_properties_are_no_keywords() -> None:
    schema = {"properties": {"properties": {"type": "string"}, "oneOf": {"type": "string"}}}
    assert allows(schema, '{"properties":"x","oneOf":"y"}')
    assert not allows(schema, '{"other":"x"}')
