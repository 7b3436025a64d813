"""Invariant 16: a secret is a reference wherever it is needed, and a value nowhere."""

import re
from collections.abc import Iterator
from typing import Any

from delivery.policy.finding import Problem
from delivery.policy.overlay import Overlay, environment

SECRET_NAME = re.compile(r"(KEY|KEYS|TOKEN|SECRET|PASSWORD)$")
SECRET_VALUE = re.compile(r"(?<![\w-])(?:hf_\w{20,}|sk-[\w-]{20,}|gh[opsu]_\w{20,}|AKIA[0-9A-Z]{16})|-----BEGIN [A-Z ]*PRIVATE KEY-----")
PASSWORD_IN_URL = re.compile(r"\w://[^/\s:@]+:[^/\s:@]+@")
SHOWN = "(not shown)"
READ = "a value in a manifest is a secret no more"
FIX = "valueFrom.secretKeyRef, or a mounted file: components/api-keys shows an ExternalSecret"


def secrets(overlay: Overlay) -> Iterator[Problem]:
    for secret in overlay.of("Secret"):
        because = "whoever reads the repository reads it"
        yield overlay.problem(secret, "data", SHOWN, because, "an ExternalSecret: components/api-keys shows one", key="kind: Secret")
    for workload, container, path in overlay.containers():
        for name, value in environment(container).items():
            if value is not None and SECRET_NAME.search(name):
                yield overlay.problem(workload, f"{path}.env {name}", SHOWN, READ, FIX)
    for found in overlay.of("ConfigMap"):
        for name in found.get("data") or {}:
            if SECRET_NAME.search(name):
                yield overlay.problem(found, f"data.{name}", SHOWN, READ, FIX)
    for found in overlay.rendered.objects:
        for path, text in strings(found):
            if SECRET_VALUE.search(text) or PASSWORD_IN_URL.search(text):
                yield overlay.problem(found, path, SHOWN, READ, FIX)


def strings(found: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every string of an object with its field, keys included."""
    if isinstance(found, str):
        yield path, found
    elif isinstance(found, dict):
        for key, value in found.items():
            yield from strings(key, f"{path}.{key}".strip("."))
            yield from strings(value, f"{path}.{key}".strip("."))
    elif isinstance(found, list):
        for number, entry in enumerate(found):
            named = entry.get("name", number) if isinstance(entry, dict) else number
            yield from strings(entry, f"{path}[{named}]")
