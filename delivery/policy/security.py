"""Invariant 11: restricted pods, and a network that is closed but for what must come in."""

from collections.abc import Iterator
from typing import Any

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, at

POD: tuple[tuple[str, Any], ...] = (
    ("automountServiceAccountToken", False),
    ("securityContext.runAsNonRoot", True),
    ("securityContext.seccompProfile.type", "RuntimeDefault"),
)
CONTAINER: tuple[tuple[str, Any], ...] = (
    ("securityContext.allowPrivilegeEscalation", False),
    ("securityContext.readOnlyRootFilesystem", True),
    ("securityContext.capabilities.drop", ["ALL"]),
)
PROXIES = (
    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}},
    {"podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": SERVICE}}},
)
PROMETHEUS = ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},)


def restricted(overlay: Overlay) -> Iterator[Problem]:
    because = "restricted Pod Security, and nothing written outside the declared paths"
    for workload, pod in overlay.templates():
        for path, wanted in POD:
            if at(pod, *path.split(".")) != wanted:
                yield overlay.problem(workload, f"spec.template.spec.{path}", at(pod, *path.split(".")), because, f"{wanted}")
    for workload, container, where in overlay.containers():
        for path, wanted in CONTAINER:
            if at(container, *path.split(".")) != wanted:
                yield overlay.problem(workload, f"{where}.{path}", at(container, *path.split(".")), because, f"{wanted}")
    yield from _namespaces(overlay)
    yield from _network(overlay)


def _namespaces(overlay: Overlay) -> Iterator[Problem]:
    label = "pod-security.kubernetes.io/enforce"
    for namespace in overlay.of("Namespace"):
        level = at(namespace, "metadata", "labels", label)
        if level != "restricted":
            because = "else the API server lets in what is not restricted"
            yield overlay.problem(namespace, f"metadata.labels[{label}]", level, because, "restricted")


def _network(overlay: Overlay) -> Iterator[Problem]:
    policies = overlay.of("NetworkPolicy")
    if not any(policy["spec"]["podSelector"] == {} and not policy["spec"].get("ingress") for policy in policies):
        yield overlay.missing("NetworkPolicy/default-deny", "a pod that no policy selects is open to all", "base/networkpolicy.yaml")
    policy = overlay.named("NetworkPolicy", SERVICE)
    if policy is None:
        yield overlay.missing(f"NetworkPolicy/{SERVICE}", "the service would be cut off, or open", "base/networkpolicy.yaml")
        return
    for number, rule in enumerate(policy["spec"].get("ingress", [])):
        yield from _rule(overlay, policy, number, rule)
    if any(not rule.get("to") for rule in policy["spec"].get("egress", [])):
        because = "a serving pod calls nobody outside: models come from the image or the cache"
        yield overlay.problem(policy, "spec.egress", policy["spec"]["egress"], because, "name the pods in `to`, or egress: []")
    for service in overlay.of("Service"):
        for port in service["spec"]["ports"]:
            if port.get("targetPort") == "management":
                because = "probes and metrics are for the kubelet and Prometheus, on the pod"
                yield overlay.problem(service, f"spec.ports[{port['name']}].targetPort", "management", because, "http")


def _rule(overlay: Overlay, policy: Object, number: int, rule: dict[str, Any]) -> Iterator[Problem]:
    ports = [port.get("port") for port in rule.get("ports", [])]
    allowed = {("http",): PROXIES, ("management",): PROMETHEUS}.get(tuple(ports), ())
    peers = rule.get("from", [])
    if not peers or not all(any(_covers(wanted, peer) for wanted in allowed) for peer in peers):
        because = "only the proxy comes in on port http, and only Prometheus on port management"
        yield overlay.problem(policy, f"spec.ingress[{number}]", rule, because, "components/ingress and components/gateway add their rule")


def _covers(wanted: dict[str, Any], peer: dict[str, Any]) -> bool:
    return all(peer.get(key) == value for key, value in wanted.items())
