"""Invariants 7, 10 and 16: the image is known, it understands its settings, and no secret stands in them."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, environment

PINNED = re.compile(r"[^@:]+(?::\d+)?(?:/[^@:]+)*:[\w][\w.-]*@sha256:[0-9a-f]{64}")
LIBRARIES = frozenset({"HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"})
SECRET_NAME = re.compile(r"(KEY|KEYS|TOKEN|SECRET|PASSWORD)$")
SECRET_VALUE = re.compile(r"hf_\w{20,}|sk-[\w-]{20,}|AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----")


def digests(overlay: Overlay) -> Iterator[Problem]:
    if not overlay.production:
        return
    for workload, container, path in overlay.containers():
        if not PINNED.fullmatch(container["image"]):
            because = "a tag can move between two pods of one rollout"
            fix = "tag and digest: images: [{name, newName, newTag, digest}] in the overlay"
            yield overlay.problem(workload, f"{path}.image", container["image"], because, fix, key="images")


def settings(overlay: Overlay) -> Iterator[Problem]:
    """What the image accepts is what this tree's service accepts: promote asks the promoted image itself."""
    accepted = {*overlay.facts.settings, *LIBRARIES}
    ours = {found["image"] for _, found, _ in overlay.containers() if found["name"] == SERVICE}
    for workload, container, path in overlay.containers():
        if container["image"] not in ours:
            continue
        for name in environment(container):
            if name not in accepted:
                near = get_close_matches(name, accepted, n=1)
                fix = f"did you mean {near[0]}?" if near else "`llm-api settings` lists what there is"
                yield overlay.problem(workload, f"{path}.env {name}", name, "the service has no such setting: it would be ignored", fix)
        if container["name"] == SERVICE and container.get("args") != ["serve"]:
            because = "every setting is an env entry"
            yield overlay.problem(workload, f"{path}.args", container.get("args"), because, "args: [serve]")


def secrets(overlay: Overlay) -> Iterator[Problem]:
    for secret in overlay.of("Secret"):
        because = "whoever reads the repository reads it"
        fix = "an ExternalSecret: components/api-keys shows one"
        yield overlay.problem(secret, "data", "(not shown)", because, fix, key="kind: Secret")
    for workload, container, path in overlay.containers():
        for name, value in environment(container).items():
            if value is not None and (SECRET_NAME.search(name) or SECRET_VALUE.search(value)):
                because, fix = "a value in a manifest is a secret no more", "valueFrom.secretKeyRef, or a mounted file"
                yield overlay.problem(workload, f"{path}.env {name}", "(not shown)", because, fix)
