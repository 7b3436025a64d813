"""A rendered overlay, and the queries that the checks need."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from delivery.policy.facts import Facts, Reading
from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, WORKLOADS, at, environment, main_container
from delivery.rendering import Object, Rendered

LAST = re.compile(r"[\w/-]+")


@dataclass(frozen=True)
class Overlay:
    name: str
    rendered: Rendered
    facts: Facts

    @property
    def production(self) -> bool:
        """Whether a cluster tracks it by release tags, or its name begins with `prod`. Nothing else decides this."""
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
        """Every workload with its pod spec."""
        for workload in self.of(*WORKLOADS):
            yield workload, workload["spec"]["template"]["spec"]

    def containers(self) -> Iterator[tuple[Object, Object, str]]:
        """Every container with its workload and its path."""
        for workload, pod in self.templates():
            for group in ("initContainers", "containers"):
                for container in pod.get(group, []):
                    yield workload, container, f"spec.template.spec.{group}[{container['name']}]"

    def maximum(self, deployment: Object) -> int:
        """The largest number of replicas."""
        scaler = self.scaler(deployment)
        return int(scaler["spec"].get("maxReplicaCount", 100)) if scaler else int(deployment["spec"].get("replicas", 1))

    def scaler(self, deployment: Object) -> Object | None:
        name = deployment["metadata"]["name"]
        return next((found for found in self.of("ScaledObject") if found["spec"]["scaleTargetRef"]["name"] == name), None)

    @cached_property
    def reading(self) -> Reading:
        """The Deployment's variables as the service reads them. A reference to a secret counts as set."""
        deployment = self.named("Deployment", SERVICE)
        variables = environment(main_container(deployment)) if deployment else {}
        known = self.facts.settings
        return self.facts.read({name: "reference" if value is None else value for name, value in variables.items() if name in known})

    def setting(self, name: str) -> Any:
        """The parsed value that the service gets: from the Deployment, else the default."""
        return self.reading.values.get(name, self.facts.settings.get(name))

    def problem(self, found: Object, path: str, value: Any, because: str, fix: str, *, key: str | None = None) -> Problem:
        """`key`: how the field is written in its file, if not like the last part of `path`."""
        name = found["metadata"]["name"]
        file = self.rendered.file(found["kind"], name, key or LAST.findall(path.removesuffix(".value").removesuffix("]"))[-1])
        return Problem(file, f"{found['kind']}/{name} {path}", value, because, fix)

    def missing(self, what: str, because: str, fix: str) -> Problem:
        return Problem(f"{self.rendered.folder}/kustomization.yaml", what, None, because, fix)
