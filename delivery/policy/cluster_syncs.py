"""The Flux Kustomizations and Argo CD Applications under clusters/ that sync an overlay."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from delivery.git.release_tags import tracked_major
from delivery.policy.objects import at, seconds
from delivery.rendering import render


@dataclass(frozen=True)
class Sync:
    """A cluster's sync object for an overlay."""

    file: str
    timeout: float | None
    """Seconds; None if the controller waits without a limit."""
    releases: bool
    """Whether it tracks release tags and not a branch."""


def cluster_syncs(root: Path, kustomize: Path) -> dict[str, tuple[Sync, ...]]:
    """The sync objects of every overlay, by its name. Raises RenderError."""
    found: dict[str, tuple[Sync, ...]] = {}
    for cluster in sorted(root.glob("clusters/*")):
        for overlay, sync in (*_flux(root, cluster / "flux", kustomize), *_argocd(root, cluster / "argocd")):
            found[overlay] = (*found.get(overlay, ()), sync)
    return found


def _flux(root: Path, folder: Path, kustomize: Path) -> Iterator[tuple[str, Sync]]:
    if not folder.exists():
        return
    objects = render(root, str(folder.relative_to(root)), kustomize).objects
    releases = any(at(found, "spec", "ref", "semver") or at(found, "spec", "ref", "tag") for found in objects)
    for found in objects:
        if found["kind"] == "Kustomization" and (overlay := _overlay(at(found, "spec", "path"))):
            file = f"{folder.relative_to(root)}/sync.yaml"
            yield overlay, Sync(file, seconds(at(found, "spec", "timeout")) or 0, releases)


def _argocd(root: Path, folder: Path) -> Iterator[tuple[str, Sync]]:
    """Reads the files, not the rendering: source.yaml holds the revision of all Applications."""
    if not (folder / "source.yaml").exists():
        return
    source = yaml.safe_load((folder / "source.yaml").read_text(encoding="utf-8"))
    revision = str(at(source, "data", "revision"))
    for found in yaml.safe_load_all((folder / "application.yaml").read_text(encoding="utf-8")):
        for entry in at(found, "spec", "sources") or []:
            if overlay := _overlay(entry.get("path")):
                yield overlay, Sync(f"{folder.relative_to(root)}/application.yaml", None, tracked_major(revision) is not None)


def _overlay(path: str | None) -> str | None:
    """The overlay's name. `./overlays/prod/` and `overlays/prod` are the same."""
    parts = [part for part in str(path).split("/") if part not in {"", "."}]
    return parts[1] if len(parts) == 2 and parts[0] == "overlays" else None
