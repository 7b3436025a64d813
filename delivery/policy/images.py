"""Invariants 7, 10 and 16: the image is known, it understands its settings, and no secret stands in them."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, environment

PINNED = re.compile(r"[^@:]+(?::\d+)?(?:/[^@:]+)*:[\w][\w.-]*@sha256:[0-9a-f]{64}")
LIBRARIES = frozenset({"HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"})
CALL = re.compile(r"(?<![\w/-])llm-api +([a-z][a-z-]*)([^\n;&|]*)")
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
    """By what the facts say that the service accepts: this tree's, or with delivery/image.py the pinned image's."""
    accepted = {*overlay.facts.settings, *LIBRARIES}
    ours = {found["image"] for _, found, _ in overlay.containers() if found["name"] == SERVICE}
    for workload, container, path in overlay.containers():
        if container["image"] not in ours:
            continue
        known = accepted.union(*(overlay.facts.commands.get(command, ()) for command, _ in calls(container)))
        for name in environment(container):
            if name not in known:
                near = get_close_matches(name, known, n=1)
                fix = f"did you mean {near[0]}?" if near else "`llm-api settings` lists what there is"
                yield overlay.problem(workload, f"{path}.env {name}", name, "the service has no such setting: it would be ignored", fix)
        if container["name"] == SERVICE and container.get("args") != ["serve"]:
            because = "every setting is an env entry"
            yield overlay.problem(workload, f"{path}.args", container.get("args"), because, "args: [serve]")
        yield from _calls(overlay, workload, container, path)


def _calls(overlay: Overlay, workload: Object, container: Object, path: str) -> Iterator[Problem]:
    for command, given in calls(container):
        flags = overlay.facts.commands.get(command)
        if flags is None:
            fix = f"one of {', '.join(sorted(overlay.facts.commands))}"
            yield overlay.problem(workload, f"{path}.args", f"llm-api {command}", "the service has no such command", fix)
            continue
        for flag in sorted(given - flags):
            near = get_close_matches(flag, flags, n=1)
            fix = f"did you mean {near[0]}?" if near else f"`llm-api {command} --help` lists what there is"
            yield overlay.problem(workload, f"{path}.args", f"llm-api {command} {flag}", "the service has no such flag", fix)


def calls(container: Object) -> Iterator[tuple[str, set[str]]]:
    """Each command of llm-api that a container calls, by itself or in a script, with its flags."""
    text = "\n".join(container["command"]) + "\n" if container.get("command") else "llm-api "
    text += " ".join(container.get("args", []))
    for called in CALL.finditer(text):
        yield called[1], set(re.findall(r"(?<!\S)--[a-z][a-z-]*", called[2]))


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
