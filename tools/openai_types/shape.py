"""The parts of a JSON schema that matter for the comparison of two APIs: types, listed values, fields and items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

TAGS = ("role", "type")  # the fields that distinguish the objects of a union
ANY_VALUE = "any"


@dataclass(frozen=True)
class Field:
    required: bool
    shape: Shape


@dataclass
class Shape:
    types: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    """Listed strings and booleans; with ANY_VALUE where other values are allowed too."""
    objects: dict[str, dict[str, Field]] = field(default_factory=dict)
    """The fields of each object, by its tag; '' for an object without one."""
    items: Shape | None = None
    """The items of an array, or the values of an object with free keys."""


class Shapes:
    def __init__(self, definitions: dict[str, Any]) -> None:
        """`definitions`: the targets of `$ref`, by the last part of the reference."""
        self._definitions = definitions

    def of(self, schema: Any) -> Shape:
        shape = Shape()
        for branch in self._branches(schema):
            self._add(shape, branch)
        return shape

    def _branches(self, schema: Any) -> Iterator[dict[str, Any]]:
        """The schema's alternatives, each with one type."""
        if not schema or schema is True:
            yield {"type": "anything"}
        elif "$ref" in schema:
            yield from self._branches(self._definitions[schema["$ref"].rpartition("/")[2]])
        elif alternatives := schema.get("anyOf", schema.get("oneOf")):
            for alternative in alternatives:
                yield from self._branches(alternative)
        else:
            kinds = schema.get("type", "string")
            yield from ({**schema, "type": kind} for kind in ([kinds] if isinstance(kinds, str) else kinds))

    def _add(self, shape: Shape, branch: dict[str, Any]) -> None:
        kind = branch["type"]
        shape.types.add(kind)
        if kind in ("string", "boolean"):
            shape.values |= {str(value).lower() if kind == "boolean" else value for value in _values(branch)}
        elif kind == "array":
            shape.items = self._merged(shape.items, branch.get("items"))
        elif kind == "object" and "properties" in branch:
            self._add_object(shape, branch)
        elif kind == "object":
            shape.items = self._merged(shape.items, branch.get("additionalProperties"))

    def _add_object(self, shape: Shape, branch: dict[str, Any]) -> None:
        required = branch.get("required", [])
        fields = {name: Field(name in required, self.of(schema)) for name, schema in branch["properties"].items()}
        for tag in _tags(fields):
            shape.objects[tag] = {**shape.objects.get(tag, {}), **fields}

    def _merged(self, shape: Shape | None, schema: Any) -> Shape:
        merged = shape or Shape()
        for branch in self._branches(schema):
            self._add(merged, branch)
        return merged


def _values(branch: dict[str, Any]) -> list[Any]:
    return [branch["const"]] if "const" in branch else branch.get("enum", [ANY_VALUE])


def _tags(fields: dict[str, Field]) -> list[str]:
    """Such as `role=user`. An object whose tag has several values counts once for each value."""
    for name in TAGS:
        if name in fields and fields[name].required and ANY_VALUE not in fields[name].shape.values:
            return [f"{name}={value}" for value in sorted(fields[name].shape.values)]
    return [""]
