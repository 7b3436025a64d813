"""JSON schemas of requests: what cannot be held is refused with the keyword and its place."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from llm_api.grammar.closed_objects import closed
from llm_api.grammar.lark import WHITESPACE, json_value
from llm_api.grammar.references import endless_reference

MAX_DEPTH = 64
MAX_PATH = 200
IGNORED = frozenset({"x-guidance"})  # would change how the schema is held
FORMATS = frozenset(  # that JSON Schema defines; llguidance refuses those that it cannot hold
    {
        "date-time", "time", "date", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uuid", "regex",
        "uri", "uri-reference", "uri-template", "iri", "iri-reference", "json-pointer", "relative-json-pointer",
    }
)  # fmt: skip
SUBSCHEMAS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
OFTEN_BLAMED = ("oneOf", "pattern", "format", "multipleOf", "$ref", "minProperties", "maxProperties")
UNIMPLEMENTED = re.compile(r"Unimplemented keys: (\[.*?\])")


class SchemaRefused(Exception):
    """`path`: of the keyword within the schema, empty for the schema itself. The message continues a sentence about the field."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path[:MAX_PATH]


def schema_expression(schema: Mapping[str, Any] | bool, whitespace: str | None = None) -> str:
    """The Lark expression that holds `schema`, with objects closed. `whitespace`: a regular expression.

    Raises SchemaRefused. llguidance refuses more when it compiles the expression.
    """
    if schema is False:
        raise SchemaRefused("allows no value")
    prepared = {} if schema is True else _prepared(schema, "", 0)
    if endless := endless_reference(prepared):
        raise SchemaRefused(f"has a reference that leads to itself, {endless!r}: no value is valid or invalid under it")
    return json_value(closed(prepared), WHITESPACE if whitespace is None else whitespace)


def _prepared(schema: Any, path: str, depth: int) -> Any:
    """Without keywords that say nothing. Properties are not keywords, so the walk follows the structure of schemas."""
    if depth > MAX_DEPTH:
        raise SchemaRefused(f"is nested more than {MAX_DEPTH} levels deep", path)
    if not isinstance(schema, Mapping):
        return schema
    prepared: dict[str, Any] = {}
    for keyword, value in schema.items():
        place = f"{path}.{keyword}"
        if keyword in IGNORED:
            raise SchemaRefused("is not allowed; leave it out", place)
        if _says_nothing(keyword, value):
            continue
        if keyword in SUBSCHEMAS and isinstance(value, Mapping):
            prepared[keyword] = {name: _prepared(item, f"{place}.{name}", depth + 1) for name, item in value.items()}
        elif keyword in {"const", "enum", "default", "examples", "required"}:
            prepared[keyword] = value
        elif isinstance(value, list):
            prepared[keyword] = [_prepared(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
        else:
            prepared[keyword] = _prepared(value, place, depth + 1)
    return prepared


def _says_nothing(keyword: str, value: Any) -> bool:
    """Formats that JSON Schema does not define are annotations; it asks validators to ignore them."""
    if keyword == "format":
        return isinstance(value, str) and value not in FORMATS
    return keyword == "uniqueItems" and value is False


def blamed(schema: Any, message: str) -> str:
    """The path within `schema` of the keyword that llguidance's error is about. Empty if it names none."""
    if found := UNIMPLEMENTED.search(message):
        keywords = set(re.findall(r'"([^"]+)"', found[1]))
    else:
        keywords = {keyword for keyword in OFTEN_BLAMED if keyword in message}
    return next((path for path, keyword in _keywords(schema, "") if keyword in keywords), "")[:MAX_PATH]


def _keywords(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, Mapping):
        for keyword, value in schema.items():
            yield f"{path}.{keyword}", keyword
            if keyword in SUBSCHEMAS and isinstance(value, Mapping):
                for name, item in value.items():
                    yield from _keywords(item, f"{path}.{keyword}.{name}")
            elif keyword not in {"const", "enum", "default", "examples"}:
                yield from _keywords(value, f"{path}.{keyword}")
    elif isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _keywords(item, f"{path}[{index}]")
