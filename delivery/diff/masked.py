"""Masks possible secrets in rendered objects, so that a diff can be public.

A value is masked because of its name (variable, flag, ConfigMap key, annotation, field) or because it looks like a secret.
When in doubt it is masked. A changed value still shows as a change.
"""

import copy
import hashlib
import re
import secrets
from typing import Any

from delivery.policy.secret_references import SECRET_VALUE
from delivery.rendering import Object

_ALONE = r"pass(?:word|wd|phrase)?|pwd|secrets?|token|credentials?|authorization|dsn"
_OF_WHAT = "access|account|api|auth|client|encryption|master|private|secret|session|shared|signing|storage"
# In a field name, `key` alone does not indicate a secret (topologyKey, matchLabelKeys, a toleration's key). In a variable or flag it does.
FIELD = rf"(?:{_ALONE}|(?:{_OF_WHAT})[_-]?keys?(?:[_-]?ids?)?)"
NAME = rf"(?:{_ALONE}|keys?(?:[_-]?ids?)?)"
GIVEN = r"(?!\(masked |--)(?:\"(?:\\.|[^\"\\\n])*\"|'[^'\n]*'|\S+)"
REFERENCE = re.compile(r"[\"']?\$(?:\(\w+\)|\{\w+\}|[A-Z_][A-Z0-9_]*)[\"']?")
MASKED = re.compile(r"\(masked [0-9a-f]{8}\)")

SECRET_FIELD = re.compile(rf"{FIELD}$", re.IGNORECASE)
SECRET_NAME = re.compile(rf"{NAME}$", re.IGNORECASE)
SECRET_FLAG = re.compile(rf"--?[\w-]*{NAME}", re.IGNORECASE)
VALUES = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    SECRET_VALUE,
    re.compile(r"gh[a-z]_\w{20,}|github_pat_\w{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"),
)
# Secrets after a prefix in a text: the prefix stays, the secret is masked.
PREFIXED = (
    # https://user:password@. In hf:// and package:// the @ introduces a revision.
    re.compile(r"(\b(?!(?:hf|oci|package)://)[a-z][a-z0-9+.-]*://)([^\s/'\"]+(?=@)|[^\s/:'\"]*:[^\s'\"]+(?=@))", re.IGNORECASE),
    re.compile(r"(\b(?:Bearer|Basic)\s+)([\w.~+/-]{8,}=*)", re.IGNORECASE),
    re.compile(rf"(--[\w-]*{NAME}(?:=|[ \t]+))({GIVEN})", re.IGNORECASE),
    re.compile(rf"(\b[A-Z0-9_]*{NAME.upper()}=)({GIVEN})"),
    re.compile(rf"({FIELD}[\\\"']*[ \t]*[=:][ \t]*)({GIVEN})", re.IGNORECASE),
)


class Masking:
    """Equal values get equal masks within one diff, so a change shows. A mask reveals nothing about its value."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def objects(self, objects: list[Object]) -> list[Object]:
        return [self._object(copy.deepcopy(found)) for found in objects]

    def _object(self, found: Object) -> Object:
        kind, metadata = found["kind"], found["metadata"]
        for field in ("data", "stringData", "binaryData"):
            if isinstance(values := found.get(field), dict):
                found[field] = {name: self._mask(value) if kind == "Secret" else self._named(name, value) for name, value in values.items()}
        if annotations := metadata.get("annotations"):
            metadata["annotations"] = {name: self._named(name, value) for name, value in annotations.items()}
        masked: Object = self._walk(found)
        return masked

    def _named(self, name: str, value: Any) -> Any:
        return self._unless_reference(value) if SECRET_NAME.search(name) and isinstance(value, str) else value

    def _walk(self, value: Any) -> Any:
        match value:
            case dict():
                plain = {"secretKey"} if "remoteRef" in value else set()  # an ExternalSecret's secretKey is only a name
                return {key: inner if key in plain else self._field(str(key), inner) for key, inner in self._variable(value).items()}
            case list():
                return [self._after(before, inner) for before, inner in zip([None, *value], value, strict=False)]
            case str():
                return self._text(value)
        return value

    def _variable(self, value: dict[Any, Any]) -> dict[Any, Any]:
        """An env entry or a header: {name, value}."""
        if isinstance(value.get("name"), str) and isinstance(value.get("value"), str):
            return value | {"value": self._named(value["name"], value["value"])}
        return value

    def _field(self, name: str, value: Any) -> Any:
        return self._unless_reference(value) if SECRET_FIELD.search(name) and isinstance(value, str) else self._walk(value)

    def _after(self, before: Any, value: Any) -> Any:
        """An element of args or command. A flag's value may be the next element."""
        flagged = isinstance(before, str) and SECRET_FLAG.fullmatch(before) and isinstance(value, str) and not value.startswith("--")
        return self._unless_reference(value) if flagged else self._walk(value)

    def _text(self, text: str) -> str:
        for pattern in VALUES:
            text = pattern.sub(lambda found: self._mask(found[0]), text)
        for pattern in PREFIXED:
            text = pattern.sub(lambda found: found[1] + self._unless_reference(found[2]), text)
        return text

    def _unless_reference(self, value: str) -> str:
        """`$(API_KEY)` names the source of a value, so it is not masked."""
        return value if REFERENCE.fullmatch(value) else self._mask(value)

    def _mask(self, value: object) -> str:
        if MASKED.fullmatch(str(value)):
            return str(value)
        return f"(masked {hashlib.blake2b(str(value).encode(), key=self._key, digest_size=4).hexdigest()})"
