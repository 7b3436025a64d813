"""A rendered overlay, and what the checks ask of it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from delivery.kustomize import Object, Rendered
from delivery.policy.finding import Problem

SERVICE = "llm-api"
LAST = re.compile(r"[\w/-]+")


@dataclass(frozen=True)
class Facts:
    """What the checks compare an overlay with, from elsewhere in the repository."""

    settings: dict[str, Any]
    """Environment variables that the service accepts, with their defaults."""
    metrics: frozenset[str]
    """Sample names that the service emits."""
    commands: dict[str, frozenset[str]]
    """Commands of llm-api, with their flags."""
    selectors: dict[str, dict[str, str]]
    """Of the last promoted render, by kind/name."""
    sync_timeouts: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By overlay: the Flux Kustomization that syncs it, as file and seconds."""
    proxy_keep_alive: dict[str, float] = field(default_factory=dict)
    """By values file: seconds that a proxy of platform/ keeps an idle connection to the service."""


@dataclass(frozen=True)
class Overlay:
    name: str
    rendered: Rendered
    facts: Facts

    @property
    def production(self) -> bool:
        return self.name == "prod"

    def of(self, *kinds: str) -> list[Object]:
        return [found for found in self.rendered.objects if found["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    def templates(self) -> Iterator[tuple[Object, Object]]:
        """Every workload with its pod's spec."""
        for workload in self.of("Deployment", "Job"):
            yield workload, workload["spec"]["template"]["spec"]

    def containers(self) -> Iterator[tuple[Object, Object, str]]:
        """Every container with its workload and its field."""
        for workload, pod in self.templates():
            for group in ("initContainers", "containers"):
                for container in pod.get(group, []):
                    yield workload, container, f"spec.template.spec.{group}[{container['name']}]"

    def maximum(self, deployment: Object) -> int:
        """Replicas at most."""
        scaler = self.scaler(deployment)
        return int(scaler["spec"].get("maxReplicaCount", 100)) if scaler else int(deployment["spec"].get("replicas", 1))

    def scaler(self, deployment: Object) -> Object | None:
        name = deployment["metadata"]["name"]
        return next((found for found in self.of("ScaledObject") if found["spec"]["scaleTargetRef"]["name"] == name), None)

    def setting(self, name: str) -> Any:
        """As the service would read it: from the Deployment, else its default."""
        deployment = self.named("Deployment", SERVICE)
        variables = environment(main_container(deployment)) if deployment else {}
        return variables.get(name, self.facts.settings.get(name))

    def problem(self, found: Object, path: str, value: Any, because: str, fix: str, *, key: str | None = None) -> Problem:
        """`key` is how the field is written in a source file, where that is not the last part of `path`."""
        name = found["metadata"]["name"]
        file = self.rendered.file(found["kind"], name, key or LAST.findall(path.removesuffix(".value").removesuffix("]"))[-1])
        return Problem(file, f"{found['kind']}/{name} {path}", value, because, fix)

    def missing(self, what: str, because: str, fix: str) -> Problem:
        return Problem(f"{self.rendered.folder}/kustomization.yaml", what, None, because, fix)


def main_container(deployment: Object) -> Object:
    container: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return container


def environment(container: Object) -> dict[str, str | None]:
    """Values by name; None where the value is a reference."""
    return {variable["name"]: variable.get("value") for variable in container.get("env", [])}


def at(found: Any, *path: str) -> Any:
    """The value at a path, or None."""
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found
