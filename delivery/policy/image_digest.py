"""image-digest: images and models in production cannot change under the same name."""

import re
from collections.abc import Iterator

from delivery.overlay_image import ImagePin
from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, environment
from delivery.policy.overlay import Overlay

PINNED = re.compile(r"([^@:]+(?::\d+)?(?:/[^@:]+)*):([\w][\w.-]*)@(sha256:[0-9a-f]{64})")
PLACEHOLDER = "not-promoted"
COMMIT = re.compile(r"[0-9a-f]{40}")


def digests(overlay: Overlay) -> Iterator[Problem]:
    ours = {found["image"] for _, found, _ in overlay.containers() if found["name"] == SERVICE}
    for workload, container, path in overlay.containers():
        image = container["image"]
        if overlay.production and (reason := _reason(image, image in ours)):
            yield overlay.problem(workload, f"{path}.image", image, *reason, key="images")
    yield from _revisions(overlay)


def _reason(image: str, ours: bool) -> tuple[str, str] | None:
    pinned = PINNED.fullmatch(image)
    if not pinned:
        return (
            "a tag can move during a rollout, so two pods may run different images",
            "tag and digest: images: [{name, newName, newTag, digest}] in the overlay",
        )
    pin = ImagePin(*pinned.groups())
    if not ours:
        moving = pin.tag == "latest"
        return ("the tag latest does not name the version of the digest", "the version as the tag, with the digest") if moving else None
    promoted = pin.commit is not None and not pin.placeholder
    if promoted or (pin.placeholder and pin.tag == PLACEHOLDER):
        return None
    because = "the tag must name the commit that the image was built from, and the digest must be an image's"
    return because, f"newTag: sha-<commit> with its digest, as a promotion writes them (or the placeholder {PLACEHOLDER})"


def _revisions(overlay: Overlay) -> Iterator[Problem]:
    """Models: a branch can move after the cache was filled."""
    for workload, container, path in overlay.containers():
        for name, value in environment(container).items():
            if _moves(name, value or ""):
                because = "a branch or a tag can move, so two pods may serve different models"
                fix = "a commit of 40 hexadecimal digits in environment.yaml: model: hf://org/name@<commit>, or vllmRevision"
                yield overlay.problem(workload, f"{path}.env {name}", value, because, fix, key=name)


def _moves(name: str, value: str) -> bool:
    if name == "MODEL_URI" and value.startswith("hf://"):
        return not COMMIT.fullmatch(value.partition("@")[2])
    return name == "REVISION" and not COMMIT.fullmatch(value)
