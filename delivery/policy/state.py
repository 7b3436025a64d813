"""Invariants 12, 13 and 14: what is mounted stays, what is immutable stays the same, what holds data is never pruned."""

import re
from collections.abc import Iterator
from typing import Any

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, at

HASHED = re.compile(r".+-[a-z0-9]{10}$")
KEEP = {"argocd.argoproj.io/sync-options": "Prune=false", "kustomize.toolkit.fluxcd.io/prune": "disabled"}


def configuration(overlay: Overlay) -> Iterator[Problem]:
    because = "a controller may prune it before the old pods are gone, and a pod that restarts then never comes back"
    for workload, container, path in overlay.containers():
        if container.get("envFrom"):
            yield overlay.problem(workload, f"{path}.envFrom", container["envFrom"], "a reader must see every setting here", "env entries")
        for variable in container.get("env", []):
            if at(variable, "valueFrom", "configMapKeyRef"):
                where = f"{path}.env {variable['name']}"
                yield overlay.problem(workload, where, variable["valueFrom"], because, "value: in the Deployment")
    for workload, pod in overlay.templates():
        for volume in pod.get("volumes", []):
            name = at(volume, "configMap", "name")
            if name and HASHED.fullmatch(name):
                where = f"spec.template.spec.volumes[{volume['name']}].configMap.name"
                yield overlay.problem(workload, where, name, because, "disableNameSuffixHash: true")


def selectors(overlay: Overlay) -> Iterator[Problem]:
    for found in overlay.of("Deployment", "Service"):
        selector = found["spec"]["selector"]
        labels = selector.get("matchLabels", selector)
        path = "spec.selector.matchLabels" if found["kind"] == "Deployment" else "spec.selector"
        promoted = overlay.facts.selectors.get(f"{found['kind']}/{found['metadata']['name']}", labels)
        if labels != promoted:
            because = f"the last promoted render has {promoted}; a Deployment's is immutable, a Service's would miss running pods"
            yield overlay.problem(found, path, labels, because, "leave it; labels that may change go on metadata alone")
        foreign = [label for label in labels if not label.startswith("app.kubernetes.io/")]
        if foreign:
            yield overlay.problem(found, path, foreign, "one family of labels", "app.kubernetes.io/name and its kin")
    yield from _ports(overlay)


def _ports(overlay: Overlay) -> Iterator[Problem]:
    for service in overlay.of("Service"):
        for port in service["spec"]["ports"]:
            path = f"spec.ports[{port.get('name')}].targetPort"
            yield from _port(overlay, service, path, port.get("targetPort"), _named(overlay, service))
    for deployment, container, path in overlay.containers():
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            names = [port["name"] for port in container.get("ports", [])]
            if probe in container:
                yield from _port(overlay, deployment, f"{path}.{probe}.httpGet.port", at(container, probe, "httpGet", "port"), names)
    for monitor in overlay.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            yield from _port(overlay, monitor, "spec.podMetricsEndpoints[].port", endpoint.get("port"), _container_ports(overlay, SERVICE))
    for ingress in overlay.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for route in rule["http"]["paths"]:
                backend = route["backend"]["service"]
                service_ports = at(overlay.named("Service", backend["name"]), "spec", "ports") or []
                path, names = "spec.rules[].http.paths[].backend.service.port.name", [port["name"] for port in service_ports]
                yield from _port(overlay, ingress, path, backend["port"].get("name"), names)


def _named(overlay: Overlay, service: Object) -> list[str]:
    return _container_ports(overlay, service["spec"]["selector"].get("app.kubernetes.io/name", ""))


def _container_ports(overlay: Overlay, workload: str) -> list[str]:
    found = [container for owner, container, _ in overlay.containers() if owner["metadata"]["name"] == workload]
    return [port["name"] for container in found for port in container.get("ports", [])]


def _port(overlay: Overlay, found: Object, path: str, given: Any, names: list[str]) -> Iterator[Problem]:
    if given not in names:
        yield overlay.problem(found, path, given, f"ports are referenced by name; there is {', '.join(names) or 'none'}", f"one of {names}")


def storage(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        for volume in deployment["spec"]["template"]["spec"].get("volumes", []):
            claim = overlay.named("PersistentVolumeClaim", at(volume, "persistentVolumeClaim", "claimName") or "")
            if claim and claim["spec"]["accessModes"] != ["ReadWriteMany"]:
                modes, pods = claim["spec"]["accessModes"], overlay.maximum(deployment)
                because = f"up to {pods} pods of Deployment/{deployment['metadata']['name']} mount it, on several nodes"
                yield overlay.problem(claim, "spec.accessModes", modes, because, "[ReadWriteMany], or a volume per pod")
    for kept in overlay.of("PersistentVolumeClaim", "Namespace"):
        for name, wanted in KEEP.items():
            given = at(kept, "metadata", "annotations", name)
            if wanted not in str(given).split(","):
                because = "pruning it deletes data that no commit brings back"
                yield overlay.problem(kept, f"metadata.annotations[{name}]", given, because, wanted)
