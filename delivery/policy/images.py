"""Invariant 7: what runs in prod is one image and one model, and nobody can move either. And how a container calls its image."""

import re
from collections.abc import Iterator

from delivery.image_pin import ImagePin
from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, environment

PINNED = re.compile(r"([^@:]+(?::\d+)?(?:/[^@:]+)*):([\w][\w.-]*)@(sha256:[0-9a-f]{64})")
PLACEHOLDER = "not-promoted"
CALL = re.compile(r"(?<![\w/-])llm-api +([a-z][a-z-]*)([^\n;&|]*)")
COMMIT = re.compile(r"[0-9a-f]{40}")


def digests(overlay: Overlay) -> Iterator[Problem]:
    ours = {found["image"] for _, found, _ in overlay.containers() if found["name"] == SERVICE}
    for workload, container, path in overlay.containers():
        image = container["image"]
        if overlay.production and (told := _told(image, image in ours)):
            yield overlay.problem(workload, f"{path}.image", image, *told, key="images")
    yield from _revisions(overlay)


def _told(image: str, ours: bool) -> tuple[str, str] | None:
    pinned = PINNED.fullmatch(image)
    if not pinned:
        return "a tag can move between two pods of one rollout", "tag and digest: images: [{name, newName, newTag, digest}] in the overlay"
    pin = ImagePin(*pinned.groups())
    if not ours:
        moving = pin.tag == "latest"
        return ("the tag says nothing of what the digest is", "the version beside the digest") if moving else None
    promoted = pin.commit is not None and not pin.placeholder
    if promoted or (pin.placeholder and pin.tag == PLACEHOLDER):
        return None
    because = "the tag must say which commit the image was built from, and the digest be that of an image"
    return because, f"newTag: sha-<commit> with its digest, as a promotion writes them (or the placeholder {PLACEHOLDER})"


def _revisions(overlay: Overlay) -> Iterator[Problem]:
    """Of models: a branch moves under a cache that was filled once."""
    for workload, container, path in overlay.containers():
        for name, value in environment(container).items():
            if _moves(name, value or ""):
                because = "a branch or a tag moves: two pods would serve two models"
                fix = "the commit's 40 hexadecimal digits: model: hf://org/name@<commit>, or vllmRevision, in environment.yaml"
                yield overlay.problem(workload, f"{path}.env {name}", value, because, fix, key=name)


def _moves(name: str, value: str) -> bool:
    if name == "MODEL_URI" and value.startswith("hf://"):
        return not COMMIT.fullmatch(value.partition("@")[2])
    return name == "REVISION" and not COMMIT.fullmatch(value)


def calls(container: Object) -> Iterator[tuple[str, set[str]]]:
    """Each command of llm-api that a container calls, by itself or in a script, with its flags."""
    text = "\n".join(container["command"]) + "\n" if container.get("command") else "llm-api "
    text += " ".join(container.get("args", []))
    for called in CALL.finditer(text):
        yield called[1], set(re.findall(r"(?<!\S)--[a-z][a-z-]*", called[2]))
