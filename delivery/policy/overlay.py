"""A rendered overlay, and what the checks ask of it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from delivery.kustomize import Object, Rendered
from delivery.policy.finding import Problem

SERVICE = "llm-api"
LAST = re.compile(r"[\w/-]+")
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")


@dataclass(frozen=True)
class Reading:
    """What the service makes of its environment."""

    values: dict[str, Any]
    """Typed, by variable: its default where it was not given, or was refused."""
    refused: dict[str, str]
    """Why, by variable: a value that is none of its own, or with which the service would not start."""


@dataclass(frozen=True)
class Sync:
    """A cluster's sync object for an overlay."""

    file: str
    timeout: float | None
    """Seconds; None where the controller waits without end."""
    releases: bool
    """It follows release tags, not a branch."""


@dataclass(frozen=True)
class Facts:
    """What the checks compare an overlay with, from elsewhere in the repository."""

    settings: dict[str, Any]
    """Environment variables that the service accepts, with their defaults."""
    read: Callable[[Mapping[str, str]], Reading]
    """Environment variables as the service reads them."""
    metrics: frozenset[str]
    """Sample names that the service emits."""
    commands: dict[str, frozenset[str]]
    """Commands of llm-api, with their flags."""
    selectors: dict[str, dict[str, str]]
    """As they run in clusters, by kind/name."""
    label_values: dict[str, frozenset[str]] = field(default_factory=dict)
    """Of a metric's label: every value that the service sets."""
    syncs: dict[str, tuple[Sync, ...]] = field(default_factory=dict)
    """By overlay."""
    ingress_controller: dict[str, Any] = field(default_factory=dict)
    """The Helm values of ingress-nginx."""


@dataclass(frozen=True)
class Overlay:
    name: str
    rendered: Rendered
    facts: Facts

    @property
    def production(self) -> bool:
        """A cluster follows it by release tags, or its name begins with `prod`. The only place where that is decided."""
        return self.name.startswith("prod") or any(sync.releases for sync in self.facts.syncs.get(self.name, ()))

    @property
    def namespace(self) -> str:
        service = self.named("Deployment", SERVICE)
        return str(at(service, "metadata", "namespace") or "default")

    def of(self, *kinds: str) -> list[Object]:
        return [found for found in self.rendered.objects if found["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object | None:
        return next((found for found in self.of(kind) if found["metadata"]["name"] == name), None)

    def templates(self) -> Iterator[tuple[Object, Object]]:
        """Every workload with its pod's spec."""
        for workload in self.of(*WORKLOADS):
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

    @cached_property
    def reading(self) -> Reading:
        """The Deployment's variables as the service reads them; a reference to a secret counts as given."""
        deployment = self.named("Deployment", SERVICE)
        variables = environment(main_container(deployment)) if deployment else {}
        known = self.facts.settings
        return self.facts.read({name: "reference" if value is None else value for name, value in variables.items() if name in known})

    def setting(self, name: str) -> Any:
        """As the service would read it, typed: from the Deployment, else its default."""
        return self.reading.values.get(name, self.facts.settings.get(name))

    def problem(self, found: Object, path: str, value: Any, because: str, fix: str, *, key: str | None = None) -> Problem:
        """`key` is how the field is written in a source file, where that is not the last part of `path`."""
        name = found["metadata"]["name"]
        file = self.rendered.file(found["kind"], name, key or LAST.findall(path.removesuffix(".value").removesuffix("]"))[-1])
        return Problem(file, f"{found['kind']}/{name} {path}", value, because, fix)

    def missing(self, what: str, because: str, fix: str) -> Problem:
        return Problem(f"{self.rendered.folder}/kustomization.yaml", what, None, because, fix)


def main_container(workload: Object) -> Object:
    """The one that is named as its workload, else the first: a sidecar may stand before it."""
    containers: list[Object] = workload["spec"]["template"]["spec"]["containers"]
    return next((found for found in containers if found["name"] == workload["metadata"]["name"]), containers[0])


def pod_labels(workload: Object) -> dict[str, str]:
    return at(workload, "spec", "template", "metadata", "labels") or {}


def environment(container: Object) -> dict[str, str | None]:
    """Values by name; None where the value is a reference."""
    return {variable["name"]: None if "valueFrom" in variable else str(variable.get("value", "")) for variable in container.get("env", [])}


def at(found: Any, *path: str) -> Any:
    """The value at a path, or None."""
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found
