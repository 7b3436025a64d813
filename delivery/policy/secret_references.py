"""secret-references: a secret is always a reference and never a value."""

import re
from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import environment, leaves
from delivery.policy.overlay import Overlay

SECRET_NAME = re.compile(r"(KEY|KEYS|TOKEN|SECRET|PASSWORD)$")
SECRET_VALUE = re.compile(r"(?<![\w-])(?:hf_\w{20,}|sk-[\w-]{20,}|gh[opsu]_\w{20,}|AKIA[0-9A-Z]{16})|-----BEGIN [A-Z ]*PRIVATE KEY-----")
PASSWORD_IN_URL = re.compile(r"\w://[^/\s:@]+:[^/\s:@]+@")
SHOWN = "(not shown)"
READ = "every reader of the repository can read a value in a manifest"
FIX = "valueFrom.secretKeyRef, or a mounted file: components/api-keys shows an ExternalSecret"


def secrets(overlay: Overlay) -> Iterator[Problem]:
    for secret in overlay.of("Secret"):
        because = "every reader of the repository can read it"
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
        for path, text in leaves(found):
            if not isinstance(text, str):
                continue
            if SECRET_VALUE.search(text) or PASSWORD_IN_URL.search(text):
                yield overlay.problem(found, path, SHOWN, READ, FIX)
