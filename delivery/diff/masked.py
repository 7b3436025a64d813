"""Rendered objects with what may be a secret replaced, so that a diff can be shown to anybody."""

import copy
import hashlib
import re
import secrets
from typing import Any

from delivery.kustomize import Object

SECRET_NAME = re.compile(r"(?i)(pass(word|wd)?|secret|token|api_?keys?|credential|private_?key)$")


class Masking:
    """Equal values get equal masks within one diff, so that a change shows; the masks tell nothing of the values."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def objects(self, objects: list[Object]) -> list[Object]:
        return [self._object(copy.deepcopy(found)) for found in objects]

    def _object(self, found: Object) -> Object:
        if found["kind"] == "Secret":
            for field in ("data", "stringData"):
                found.update({field: {name: self._mask(value) for name, value in found[field].items()}} if found.get(field) else {})
        self._walk(found)
        return found

    def _walk(self, value: Any) -> None:
        if isinstance(value, dict):
            if SECRET_NAME.search(str(value.get("name", ""))) and isinstance(value.get("value"), str):
                value["value"] = self._mask(value["value"])
            for key, inner in value.items():
                if SECRET_NAME.search(str(key)) and isinstance(inner, str) and not inner.startswith("(masked"):
                    value[key] = self._mask(inner)
                self._walk(inner)
        elif isinstance(value, list):
            for inner in value:
                self._walk(inner)

    def _mask(self, value: object) -> str:
        return f"(masked {hashlib.blake2b(str(value).encode(), key=self._key, digest_size=4).hexdigest()})"
