"""Objects have no properties but those that their schema lists, unless it says something about others."""

from collections.abc import Iterator, Mapping
from typing import Any

ABOUT_OTHERS = frozenset(
    {"additionalProperties", "patternProperties", "propertyNames", "unevaluatedProperties", "minProperties", "const", "enum"}
)
OTHER_SCHEMAS = frozenset({"$ref", "anyOf", "allOf"})  # of the same value: they may list more properties
# With these a value can become invalid because a part of the schema allows less.
CONDITIONS = frozenset({"oneOf", "not", "if", "dependentSchemas", "contains"})
BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions"})
LISTS = frozenset({"anyOf", "allOf", "prefixItems", "items"})
SINGLE = frozenset({"items", "additionalItems", "additionalProperties"})


def closed(schema: Any) -> Any:
    """A schema that allows fewer values, all of which are valid under `schema`.

    Pydantic and many others write no additionalProperties. A model that may add properties can go on for ever.
    Unchanged where schemas are combined so that closing one of them could forbid what another one requires.
    """
    return _closed(schema) if all(map(_is_plain, _schemas(schema))) else schema


def _closed(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    result = {keyword: _parts(keyword, value) for keyword, value in schema.items()}
    properties, required = schema.get("properties"), schema.get("required", [])
    if isinstance(properties, Mapping) and not ABOUT_OTHERS & schema.keys() and set(required) <= properties.keys():
        result["additionalProperties"] = False
    return result


def _parts(keyword: str, value: Any) -> Any:
    if keyword in BY_NAME and isinstance(value, Mapping):
        return {name: _closed(part) for name, part in value.items()}
    if keyword in LISTS and isinstance(value, list):
        return [_closed(part) for part in value]
    return _closed(value) if keyword in SINGLE else value


def _is_plain(schema: Mapping[str, Any]) -> bool:
    if CONDITIONS & schema.keys() or not _is_list_of_names(schema.get("required", [])):
        return False
    others = OTHER_SCHEMAS & schema.keys()
    parts = schema.get("allOf")
    return not others or (len(others) == 1 and not {"properties", "required"} & schema.keys() and (parts is None or len(parts) == 1))


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _schemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """A schema and those within it."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for keyword, value in schema.items():
        parts: Any = ()
        if keyword in BY_NAME and isinstance(value, Mapping):
            parts = value.values()
        elif keyword in LISTS and isinstance(value, list):
            parts = value
        elif keyword in SINGLE:
            parts = (value,)
        for part in parts:
            yield from _schemas(part)
