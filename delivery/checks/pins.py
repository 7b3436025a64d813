"""Checks that pins.yaml lists the charts, images and actions of the tree, and, online, that their tags were not moved."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from delivery.checks.registries import LookupFailed, Registries

TREE = ("base", "components", "overlays", "platform", "clusters", "proxy")
ASSIGNED = {"apps/llm-api/Dockerfile": r"^ARG BASE_IMAGE=(\S+)", "tools/kind-cluster": r"^REGISTRY_IMAGE=(\S+)"}
"""Images outside manifests, by file."""
ACTION = re.compile(r"^ *(?:- )?uses: ([^@\s]+)@(\S+)(?: # (\S+))?", re.MULTILINE)
OURS = ("llm-api", "${IMAGE:-llm-api:dev}")


@dataclass(frozen=True)
class Pin:
    name: str
    version: str
    files: tuple[str, ...]
    digest: str | None = None
    repository: str | None = None
    """The chart repository; None for images and actions."""
    commit: str | None = None
    """The commit of an action; None for charts and images."""

    def __str__(self) -> str:
        if self.commit:
            return f"{self.name}@{self.commit} # {self.version}"
        return f"{self.name} {self.version}" if self.repository else f"{self.name}:{self.version}"


def verify(root: Path) -> tuple[list[str], list[str]]:
    """Compares pins.yaml with the tree and looks up every pin online. Returns a line for each pin that is fine, and the problems."""
    pins, registries = read(root), Registries()
    fine, problems = [], list(out_of_step(root, pins))
    for pin in pins:
        try:
            fine.append(f"{pin}: {looked_up(pin, registries)}")
        except LookupFailed as error:
            problems.append(str(error))
    fine += [f"{entry['name']}:{entry['tag']}: a placeholder, {entry['why']}" for entry in _listed(root).get("placeholders", [])]
    return fine, problems


def looked_up(pin: Pin, registries: Registries) -> str:
    """The result for one pin. Raises LookupFailed for a moved or missing tag."""
    if pin.commit:
        found = registries.tag(pin.name, pin.version)
        if found != pin.commit:
            raise LookupFailed(f"{pin.name} {pin.version} is now {found}, but pins.yaml has {pin.commit}: a moved tag or a wrong commit")
        return "ok"
    if pin.repository:
        registries.chart(pin.repository, pin.name, pin.version)
        return "ok"
    found = registries.digest(pin.name, pin.version)
    if pin.digest in {None, found}:
        return "ok" if pin.digest else f"found with {found}; pins.yaml has no digest"
    raise LookupFailed(f"{pin} is now {found}, but pins.yaml has {pin.digest}: the tag was moved, or the digest is of another image")


def read(root: Path) -> list[Pin]:
    listed, repositories = _listed(root), _repositories(root)
    charts = (
        Pin(found["name"], str(found["version"]), tuple(found["in"]), None, repositories.get(found["name"])) for found in listed["charts"]
    )
    images = (Pin(found["name"], str(found["tag"]), tuple(found["in"]), found.get("digest")) for found in listed["images"])
    actions = (Pin(found["name"], found["version"], tuple(found["in"]), commit=found["commit"]) for found in listed["actions"])
    return [*charts, *images, *actions]


def out_of_step(root: Path, pins: list[Pin]) -> Iterator[str]:
    """The differences between the tree and pins.yaml."""
    listed = {(file, str(pin)) for pin in pins for file in pin.files}
    used = set(_used(root))
    for file, pin in sorted(listed - used):
        yield f"pins.yaml: {file} does not use {pin}: correct the entry"
    for file, pin in sorted(used - listed):
        yield f"{file}: {pin} is not in pins.yaml: add it, with where and when it was seen"


def _listed(root: Path) -> dict[str, Any]:
    listed: dict[str, Any] = yaml.safe_load((root / "pins.yaml").read_text(encoding="utf-8"))
    return listed


def _repositories(root: Path) -> dict[str, str]:
    """Repository URLs by chart: a HelmRelease refers to the HelmRepository next to it."""
    documents = [document for _, document in _documents(root)]
    urls = {document["metadata"]["name"]: document["spec"]["url"] for document in documents if document.get("kind") == "HelmRepository"}
    charts = [document["spec"]["chart"]["spec"] for document in documents if document.get("kind") == "HelmRelease"]
    return {chart["chart"]: urls[chart["sourceRef"]["name"]] for chart in charts}


def _used(root: Path) -> Iterator[tuple[str, str]]:
    for file, pattern in ASSIGNED.items():
        for image in re.findall(pattern, (root / file).read_text(encoding="utf-8"), re.MULTILINE):
            yield file, image.partition("@")[0]
    for path in sorted((root / ".github/workflows").glob("*.yml")):
        for name, commit, version in ACTION.findall(path.read_text(encoding="utf-8")):
            yield str(path.relative_to(root)), f"{name}@{commit} # {version}"
    for file, document in _documents(root):
        yield from ((file, pin) for pin in _pinned(document))


def _pinned(found: Any) -> Iterator[str]:
    """Charts and images anywhere in a document, except our own image: bump and promote write that."""
    if isinstance(found, list):
        for entry in found:
            yield from _pinned(entry)
    elif isinstance(found, dict):
        if "chart" in found and isinstance(found["chart"], str):
            yield f"{found['chart']} {found.get('version') or found.get('targetRevision')}"
        if "newTag" in found and found["name"] != "llm-api":
            yield f"{found.get('newName', found['name'])}:{found['newTag']}"
        image = found.get("image")
        if isinstance(image, str) and image not in OURS:
            yield image.partition("@")[0]
        for value in found.values():
            yield from _pinned(value)


def _documents(root: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for folder in TREE:
        for path in sorted((root / folder).rglob("*.yaml")):
            for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
                if isinstance(document, dict):
                    yield str(path.relative_to(root)), document
