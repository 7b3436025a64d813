"""How engines without structured_outputs are asked for a form: each function gives the part of the request's body."""

import json
import re
from collections.abc import Callable
from typing import Any

Body = dict[str, Any]


def field(name: str) -> Callable[[Any], Body]:
    """The form in a field of its own."""
    return lambda value: {name: value}


def response_format(kind: str, key: str) -> Callable[[Any], Body]:
    return lambda value: {"response_format": {"type": kind, key: value}}


def json_schema(schema: Any) -> Body:
    """OpenAI's response_format. `schema`: an object, or its text."""
    found = json.loads(schema) if isinstance(schema, str) else schema
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": found}}}


def json_object(_: Any) -> Body:
    return {"response_format": {"type": "json_object"}}


def choice_as_regex(put: Callable[[Any], Body]) -> Callable[[Any], Body]:
    return lambda texts: put("(" + "|".join(map(re.escape, texts)) + ")")


def choice_as_gbnf(texts: list[str]) -> Body:
    """llama.cpp's grammars have JSON's escapes."""
    return {"grammar": "root ::= " + " | ".join(json.dumps(text) for text in texts)}


def schema_of_llama(schema: Any) -> Body:
    return {"json_schema": json.loads(schema) if isinstance(schema, str) else schema}


def value_of_tgi(kind: str) -> Callable[[Any], Body]:
    def put(value: Any) -> Body:
        found = json.loads(value) if kind == "json" and isinstance(value, str) else value
        return {"response_format": {"type": kind, "value": found}}

    return put
