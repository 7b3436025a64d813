"""Converts the OpenAPI schemas of Kubernetes to JSON schemas for kubeconform -strict: no unknown fields, no descriptions."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
LIMITS = {"enum", "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}
KEPT = {"type", "required", "uniqueItems", *LIMITS}
TEXT_OR_NUMBER: Schema = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
QUANTITY: Schema = {"anyOf": [{"type": "string"}, {"type": "number"}]}
ANYTHING: Schema = {}
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


def from_swagger(swagger: Schema, kinds: list[str]) -> Iterator[tuple[str, Schema]]:
    """The stable versions of `kinds`, each with its file name."""
    definitions = swagger["definitions"]
    for definition in definitions.values():
        for gvk in definition.get("x-kubernetes-group-version-kind", []):
            if gvk["kind"] in kinds and gvk["version"] == "v1":
                yield _name(gvk["kind"], gvk["group"], gvk["version"]), _top(_strict(definition, definitions))


def from_crd(crd: Schema) -> Iterator[tuple[str, Schema]]:
    spec = crd["spec"]
    for version in spec["versions"]:
        if version["served"]:
            schema = _strict(version["schema"]["openAPIV3Schema"], {})
            schema["properties"]["metadata"] = METADATA
            yield _name(spec["names"]["kind"], spec["group"], version["name"]), _top(schema)


METADATA: Schema = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "finalizers": {"type": "array", "items": {"type": "string"}},
    },
}


def _name(kind: str, group: str, version: str) -> str:
    """The file name that kubeconform expects: ResourceKind and KindSuffix, with the group up to its first dot."""
    return "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)


def _top(schema: Schema) -> Schema:
    """The schema of a whole object, without status, which is never applied."""
    schema["properties"].pop("status", None)
    required = {"apiVersion", "kind", "metadata", *schema.get("required", [])} - {"status"}
    return {**schema, "$schema": "http://json-schema.org/draft-07/schema#", "required": sorted(required)}


def _strict(schema: Schema, definitions: Schema) -> Schema:
    if "$ref" in schema:
        return _referenced(schema["$ref"].removeprefix("#/definitions/"), definitions)
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return TEXT_OR_NUMBER
    result = {key: value for key, value in schema.items() if key in KEPT}
    if "items" in schema:
        result["items"] = _strict(schema["items"], definitions)
    result |= _fields(schema, definitions)
    if schema.get("nullable") and "type" in result:
        result["type"] = [result["type"], "null"]
    return result


def _referenced(name: str, definitions: Schema) -> Schema:
    if name.endswith("api.resource.Quantity"):
        return QUANTITY
    if name == OBJECT_META:
        return METADATA_OR_TEMPLATE
    if name.endswith(("JSON", "RawExtension", "FieldsV1")):
        return ANYTHING
    return _strict(definitions[name], definitions)


METADATA_OR_TEMPLATE: Schema = {key: value for key, value in METADATA.items() if key != "required"}


def _fields(schema: Schema, definitions: Schema) -> Schema:
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields", False)
    result: Schema = {}
    if "properties" in schema:
        result["properties"] = {name: _strict(field, definitions) for name, field in schema["properties"].items()}
        if not open_ended:
            result["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = _strict(schema["additionalProperties"], definitions)
    return result
