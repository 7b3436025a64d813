"""The parameters of a function, from its JSON schema: the part of JSON Schema that keys and values can be held to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from llm_api.chat.tools.keyed.raw_text import RawText, raw_text
from llm_api.chat.tools.keyed.style import KeyedStyle
from llm_api.grammar.json_schema import SchemaRefused
from llm_api.grammar.references import find_reference, moved, references

ABOUT_SEVERAL_KEYS = (
    "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "enum", "const", "patternProperties", "propertyNames", "minProperties",
    "maxProperties", "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedProperties", "$dynamicRef", "$recursiveRef",
)  # fmt: skip
HOME = "arguments"  # where the function's schema is kept within that of one of its values


@dataclass(frozen=True, slots=True)
class Parameter:
    """`text`: how it is written as it is, a text or null; None: as JSON. `path`: of the schema within the function's."""

    schema: Any
    text: RawText | None
    path: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Parameters:
    """`known`: by key, in the order in which they are written. `others`: of all other keys; None: there are none."""

    known: Mapping[str, Parameter]
    others: Parameter | None


def parameters_of(root: Mapping[str, Any], style: KeyedStyle) -> Parameters:
    """Keys that the schema does not mention are allowed where additionalProperties says so. Raises SchemaRefused."""
    schema, path = _followed(root)
    for keyword in ABOUT_SEVERAL_KEYS:
        if keyword in schema:
            raise SchemaRefused(
                "is not supported here for this model, which writes each argument by itself; leave it out", f"{path}.{keyword}"
            )
    if "object" not in _types(schema):
        raise SchemaRefused("must be object", f"{path}.type")
    properties, required = schema.get("properties") or {}, schema.get("required") or ()
    others = schema.get("additionalProperties", False)
    known = {
        key: _parameter(root, properties[key], f"{path}.properties.{key}", style, required=key in required)
        for key in _writable(properties, style, f"{path}.properties")
    }
    for key in _writable([key for key in required if key not in known], style, f"{path}.required"):
        if others is False:
            raise SchemaRefused(f"names {key!r}, which is not in properties", f"{path}.required")
        known[key] = _parameter(root, others, f"{path}.additionalProperties", style, required=True)
    return Parameters(known, None if others is False else _parameter(root, others, f"{path}.additionalProperties", style))


def _followed(root: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The schema of the object, and its path."""
    schema: Any = root
    path = ""
    seen = set()
    while isinstance(schema, Mapping) and "$ref" in schema and "properties" not in schema:
        reference = schema["$ref"]
        if not isinstance(reference, str) or reference in seen:
            raise SchemaRefused("leads to no object", f"{path}.$ref")
        seen.add(reference)
        schema, path = find_reference(root, reference), reference.removeprefix("#").replace("/", ".")
    if not isinstance(schema, Mapping):
        raise SchemaRefused("leads to no object", ".$ref")
    return schema, path


def _types(schema: Mapping[str, Any]) -> list[Any]:
    types = schema.get("type", "object")
    return types if isinstance(types, list) else [types]


def _writable(keys: Mapping[str, Any] | list[str], style: KeyedStyle, path: str) -> Iterator[str]:
    for key in keys:
        if not style.can_write(key):
            raise SchemaRefused(f"has the key {key!r}, which this model's way of writing calls cannot hold", path)
        yield key


def _parameter(root: Mapping[str, Any], schema: Any, path: str, style: KeyedStyle, required: bool = False) -> Parameter:
    if schema is False:
        raise SchemaRefused("allows no value", path)
    whole = {} if schema is True else schema
    if not isinstance(whole, Mapping):
        raise SchemaRefused("is not a schema", path)
    text = raw_text(root, whole, style.after_value) if style.raw_text else None
    return Parameter(whole if text else _by_itself(root, whole), text, path, required)


def _by_itself(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The references of a part of `root` lead somewhere in `root`, which is kept in it."""
    if not any(True for _ in references(schema)):
        return schema
    home = f"#/$defs/{HOME}"
    return {**moved(schema, home), "$defs": {HOME: moved(root, home)}}
