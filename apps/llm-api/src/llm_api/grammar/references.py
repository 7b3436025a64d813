"""References between the parts of a JSON schema."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

AT_THE_SAME_VALUE = ("anyOf", "allOf", "oneOf")  # keywords with schemas of the same value, not of its parts
DATA = frozenset({"const", "enum", "default", "examples"})  # keywords with values, not schemas


def endless_reference(schema: Any) -> str | None:
    """A reference that leads back to itself without a value in between, such as {"$ref": "#"}: no value is valid or invalid under it."""
    found: set[str] = set()
    for reference in sorted(references(schema)):
        if reference not in found and (endless := _visit(schema, reference, found)):
            return endless
    return None


def _visit(schema: Any, start: str, found: set[str]) -> str | None:
    """Depth first, without recursion. `found`: references that are known to end."""
    path = [start]
    left = [_same_value(find_reference(schema, start))]
    while path:
        reference = next(left[-1], None)
        if reference is None:
            found.add(path.pop())
            left.pop()
        elif reference in path:
            return reference
        elif reference not in found:
            path.append(reference)
            left.append(_same_value(find_reference(schema, reference)))
    return None


def _same_value(schema: Any) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield reference
    for keyword in AT_THE_SAME_VALUE:
        branches = schema.get(keyword)
        for branch in branches if isinstance(branches, list) else ():
            yield from _same_value(branch)


def references(schema: Any) -> Iterator[str]:
    """All references in a schema and its parts."""
    if isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from references(item)


def moved(schema: Any, home: str) -> Any:
    """The schema with its references as they are once the whole is at `home`, such as #/$defs/whole."""
    if isinstance(schema, list):
        return [moved(item, home) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    result = {keyword: value if keyword in DATA else moved(value, home) for keyword, value in schema.items()}
    if isinstance(reference := schema.get("$ref"), str) and reference.startswith("#"):
        result["$ref"] = home + reference[1:]
    return result


def find_reference(schema: Any, reference: str) -> Any:
    """None for what is not in this schema: the compiler refuses it."""
    path = unquote(reference)
    if path != "#" and not path.startswith("#/"):
        return None
    for name in path.split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and key.isdecimal() and int(key) < len(schema):
            schema = schema[int(key)]
        elif isinstance(schema, Mapping) and key in schema:
            schema = schema[key]
        else:
            return None
    return schema
