"""stable-selectors: selectors, labels and ports that refer to another object match it."""

from collections.abc import Iterator
from typing import Any

from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, WORKLOADS, at, pod_labels, selects
from delivery.policy.overlay import Overlay
from delivery.rendering import Object


def references(overlay: Overlay) -> Iterator[Problem]:
    for found in overlay.of("Deployment", "Service"):
        yield from _selector(overlay, found)
    yield from _named_ports(overlay)
    for ingress in overlay.of("Ingress"):
        yield from _ingress(overlay, ingress)
    for route in overlay.of("HTTPRoute"):
        yield from _route(overlay, route)
    for scaler in overlay.of("ScaledObject"):
        name = scaler["spec"]["scaleTargetRef"]["name"]
        if overlay.named("Deployment", name) is None:
            yield overlay.problem(scaler, "spec.scaleTargetRef.name", name, "this Deployment does not exist, so nothing is scaled", SERVICE)


def _selector(overlay: Overlay, found: Object) -> Iterator[Problem]:
    selector, name = found["spec"].get("selector") or {}, f"{found['kind']}/{found['metadata']['name']}"
    labels = selector.get("matchLabels", selector)
    path = "spec.selector" if labels is selector else "spec.selector.matchLabels"
    known = overlay.facts.selectors.get(name)
    if known is None:
        because = "a selector must never change once it runs, and this one is not recorded"
        yield overlay.problem(found, path, labels, because, f"a line for {name} in delivery/policy/selectors.yaml")
    elif labels != known:
        because = (
            f"the last promoted manifests have {known}: a Deployment's selector is immutable, a changed Service would miss running pods"
        )
        yield overlay.problem(found, path, labels, because, "keep the old selector; put labels that may change on metadata only")
    pods = [pod_labels(found)] if found["kind"] == "Deployment" else [pod_labels(workload) for workload in overlay.of(*WORKLOADS)]
    if not any(selects({"matchLabels": labels}, given) for given in pods):
        because = "no pod has these labels"
        yield overlay.problem(found, path, labels, f"{because}; the pods have {pods}", "the labels of spec.template.metadata", key="labels")
    foreign = [label for label in labels if not label.startswith("app.kubernetes.io/")]
    if foreign:
        yield overlay.problem(found, path, foreign, "selectors use one family of labels", "labels that begin with app.kubernetes.io/")


def _named_ports(overlay: Overlay) -> Iterator[Problem]:
    for service in overlay.of("Service"):
        for port in service["spec"].get("ports", []):
            path = f"spec.ports[{port.get('name')}].targetPort"
            yield from _port(
                overlay, service, path, port.get("targetPort"), _container_ports(overlay, service["spec"].get("selector") or {})
            )
    for workload, container, where in overlay.containers():
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            names = [port.get("name", "") for port in container.get("ports", [])]
            if at(container, probe, "httpGet"):
                yield from _port(overlay, workload, f"{where}.{probe}.httpGet.port", at(container, probe, "httpGet", "port"), names)
    for monitor in overlay.of("PodMonitor"):
        names = _container_ports(overlay, at(monitor, "spec", "selector", "matchLabels") or {})
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            yield from _port(overlay, monitor, "spec.podMetricsEndpoints[].port", endpoint.get("port"), names)


def _container_ports(overlay: Overlay, labels: dict[str, str]) -> list[str]:
    owners = [workload["metadata"]["name"] for workload in overlay.of(*WORKLOADS) if selects({"matchLabels": labels}, pod_labels(workload))]
    found = [container for owner, container, _ in overlay.containers() if owner["metadata"]["name"] in owners]
    return [port.get("name", "") for container in found for port in container.get("ports", [])]


def _ingress(overlay: Overlay, ingress: Object) -> Iterator[Problem]:
    backends = [("spec.defaultBackend", at(ingress, "spec", "defaultBackend"))]
    for rule in ingress["spec"].get("rules", []):
        backends += [("spec.rules[].http.paths[].backend", path["backend"]) for path in at(rule, "http", "paths") or []]
    for path, backend in backends:
        if backend:
            ports = _service_ports(overlay, at(backend, "service", "name"))
            names = [port.get("name", "") for port in ports]
            yield from _port(overlay, ingress, f"{path}.service.port.name", at(backend, "service", "port", "name"), names)


def _route(overlay: Overlay, route: Object) -> Iterator[Problem]:
    """A backendRef takes only a number, which must be a port of its Service."""
    for rule in route["spec"].get("rules", []):
        for backend in rule.get("backendRefs", []):
            numbers = [port["port"] for port in _service_ports(overlay, backend["name"])]
            if backend.get("port") not in numbers:
                because = f"Service/{backend['name']} has {numbers or 'no ports'}: every request would get a 500"
                yield overlay.problem(route, "spec.rules[].backendRefs[].port", backend.get("port"), because, f"one of {numbers}")


def _service_ports(overlay: Overlay, name: str) -> list[Object]:
    return at(overlay.named("Service", name), "spec", "ports") or []


def _port(overlay: Overlay, found: Object, path: str, given: Any, names: list[str]) -> Iterator[Problem]:
    if given not in names:
        yield overlay.problem(
            found, path, given, f"ports are referenced by name; the names are {', '.join(names) or 'none'}", f"one of {names}"
        )
