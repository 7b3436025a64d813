"""References between the parts of a JSON schema."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

AT_THE_SAME_VALUE = ("anyOf", "allOf", "oneOf")  # keywords with schemas of the same value, not of its parts


def endless_reference(schema: Any) -> str | None:
    """A reference that leads back to itself without a value in between, such as {"$ref": "#"}: no value is valid or invalid under it."""
    found: set[str] = set()
    for reference in sorted(_all(schema)):
        if reference not in found and (endless := _visit(schema, reference, found)):
            return endless
    return None


def _visit(schema: Any, start: str, found: set[str]) -> str | None:
    """Depth first, without recursion. `found`: references that are known to end."""
    path = [start]
    left = [_same_value(_target(schema, start))]
    while path:
        reference = next(left[-1], None)
        if reference is None:
            found.add(path.pop())
            left.pop()
        elif reference in path:
            return reference
        elif reference not in found:
            path.append(reference)
            left.append(_same_value(_target(schema, reference)))
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


def _all(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference
        for value in schema.values():
            yield from _all(value)
    elif isinstance(schema, list):
        for item in schema:
            yield from _all(item)


def _target(schema: Any, reference: str) -> Any:
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
