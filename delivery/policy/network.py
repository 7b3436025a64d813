"""restricted-pods, network: all traffic is denied except what is needed.

The union of all NetworkPolicies that select a pod applies to it.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, WORKLOADS, at, pod_labels, selects
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

Peer = dict[str, Any]
BOTH = {"Ingress", "Egress"}
NAMES = "kubernetes.io/metadata.name"
PROXY, PROMETHEUS = "ingress-nginx", "monitoring"
GATEWAY = {"gateway.networking.k8s.io/gateway-name": SERVICE}
# Clients that must reach the service, by the kind of object that needs them: port, kind of selector, labels.
CALLERS = (
    ("Ingress", "http", "namespaceSelector", {NAMES: PROXY}),
    ("HTTPRoute", "http", "podSelector", GATEWAY),
    ("PodMonitor", "management", "namespaceSelector", {NAMES: PROMETHEUS}),
)


def closed(overlay: Overlay) -> Iterator[Problem]:
    yield from _denied(overlay)
    for workload in overlay.of(*WORKLOADS):
        yield from _own_policy(overlay, workload)
    yield from _admitted(overlay)
    for policy in overlay.of("NetworkPolicy"):
        selected = [workload for workload in overlay.of(*WORKLOADS) if selects(policy["spec"]["podSelector"], pod_labels(workload))]
        serving = any(workload["metadata"]["name"] == SERVICE for workload in selected)
        if selected:
            yield from _ingress(overlay, policy, serving)
            yield from _egress(overlay, policy, serving)
    for service in overlay.of("Service"):
        yield from _service(overlay, service)


def _denied(overlay: Overlay) -> Iterator[Problem]:
    """Everything is denied by default, for every pod: also for pods that are not in the tree."""
    for_all = [policy for policy in overlay.of("NetworkPolicy") if policy["spec"]["podSelector"] == {}]
    types = {kind for policy in for_all for kind in policy["spec"].get("policyTypes", ["Ingress"])}
    if types < BOTH:
        because = f"a pod that no policy selects is open to all; denied by default: {', '.join(sorted(types)) or 'nothing'}"
        fix = "podSelector: {}, policyTypes: [Ingress, Egress], as in base/networkpolicy.yaml"
        if for_all:
            yield overlay.problem(for_all[0], "spec.policyTypes", sorted(types), because, fix)
        else:
            yield overlay.missing("NetworkPolicy/default-deny", because, fix)


def _own_policy(overlay: Overlay, workload: Object) -> Iterator[Problem]:
    labels = pod_labels(workload)
    selectors = [policy["spec"]["podSelector"] for policy in overlay.of("NetworkPolicy")]
    # By labels: a policy for all pods, or for all but some, is not a policy of this workload.
    if not any(selector.get("matchLabels") and selects(selector, labels) for selector in selectors):
        because = "no NetworkPolicy of this workload selects its pods, so all their traffic is denied"
        fix = "a NetworkPolicy whose podSelector has these labels"
        yield overlay.problem(workload, "spec.template.metadata.labels", labels, because, fix, key="labels")


def _admitted(overlay: Overlay) -> Iterator[Problem]:
    """The clients in CALLERS can reach the service."""
    service = overlay.named("Deployment", SERVICE)
    if service is None:
        return
    rules = [
        (port.get("port"), peer)
        for policy in overlay.of("NetworkPolicy")
        if selects(policy["spec"]["podSelector"], pod_labels(service))
        for rule in policy["spec"].get("ingress", [])
        for port in rule.get("ports", [])
        for peer in rule.get("from", [])
    ]
    for kind, port, selector, labels in CALLERS:
        if overlay.of(kind) and not any(given == port and at(peer, selector, "matchLabels") == labels for given, peer in rules):
            because = f"the overlay has a {kind}, but no policy of the service's pods admits {labels} on port {port}"
            yield overlay.problem(
                service, "spec.template.metadata.labels", pod_labels(service), because, "base/networkpolicy.yaml", key="labels"
            )


def _ingress(overlay: Overlay, policy: Object, serving: bool) -> Iterator[Problem]:
    for number, rule in enumerate(policy["spec"].get("ingress", [])):
        ports = [port.get("port") for port in rule.get("ports", [])] or [None]
        peers = rule.get("from", [])
        if not peers or not all(_is_admitted(overlay, peer, port, serving) for peer in peers for port in ports):
            because = "port http admits only the proxy and pods of this overlay, port management only Prometheus"
            fix = "name the port and the pods; components/ingress and components/gateway add their own rule"
            yield overlay.problem(policy, f"spec.ingress[{number}]", rule, because, fix, key="ingress")


def _is_admitted(overlay: Overlay, peer: Peer, port: Any, serving: bool) -> bool:
    pods, namespace = (at(peer, key, "matchLabels") or {} for key in ("podSelector", "namespaceSelector"))
    if port == "management":
        return serving and namespace == {NAMES: PROMETHEUS} and bool(pods)
    if port != "http" or not pods or "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        return serving and namespace == {NAMES: PROXY}
    return pods == GATEWAY or any(selects(peer["podSelector"], pod_labels(workload)) for workload in overlay.of(*WORKLOADS))


def _egress(overlay: Overlay, policy: Object, serving: bool) -> Iterator[Problem]:
    """A serving pod may connect only to named pods. Other pods may leave the cluster, on named ports."""
    for number, rule in enumerate(policy["spec"].get("egress", [])):
        named = bool(rule.get("to")) and all(_is_named(peer) or _is_resolver(peer, rule) for peer in rule["to"])
        if not named and (serving or not rule.get("ports")):
            because = "a serving pod must not leave the cluster: models come from the image or the cache"
            if not serving:
                because = "a pod with open egress on every port can send any data out of the cluster"
            fix = "name the pods in `to`, or egress: []" if serving else "name the pods in `to`, or the ports"
            yield overlay.problem(policy, f"spec.egress[{number}]", rule, because, fix, key="egress")


def _is_named(peer: Peer) -> bool:
    selectors = [peer[key] for key in ("podSelector", "namespaceSelector") if key in peer]
    return "ipBlock" not in peer and any(selectors)


def _is_resolver(peer: Peer, rule: dict[str, Any]) -> bool:
    """NodeLocal DNSCache and cloud DNS servers have link-local addresses, which no selector matches."""
    address = at(peer, "ipBlock", "cidr")
    return bool(address) and ip_network(address).is_link_local and {port.get("port") for port in rule.get("ports", [])} == {53}


def _service(overlay: Overlay, service: Object) -> Iterator[Problem]:
    kind = service["spec"].get("type", "ClusterIP")
    for path, value, allowed in (("type", kind, kind == "ClusterIP"), ("externalIPs", service["spec"].get("externalIPs"), None)):
        if value and not allowed:
            because = "clients could bypass the proxy, without TLS, limits and access log"
            yield overlay.problem(
                service, f"spec.{path}", value, because, "ClusterIP; components/ingress or components/gateway admits clients"
            )
    for port in service["spec"].get("ports", []):
        if port.get("targetPort") in {"management", overlay.setting("MANAGEMENT_PORT")}:
            because = "probes and metrics are for the kubelet and Prometheus, on the pod"
            yield overlay.problem(service, f"spec.ports[{port.get('name')}].targetPort", port["targetPort"], because, "http")
