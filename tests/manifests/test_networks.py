"""The connections that the NetworkPolicies of a pod allow."""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from delivery.policy.overlay import Overlay
from delivery.rendering import Object

MODEL, SMOKE, SERVICE, PROXY = ({"app.kubernetes.io/name": name} for name in ("llm-api-model", "llm-api-smoke", "llm-api", "llm-api-nginx"))
NODE_LOCAL, CLOUD_DNS = "169.254.20.10", "169.254.169.254"


def rules(overlay: Overlay, labels: dict[str, str]) -> Iterator[dict[str, Any]]:
    for policy in overlay.of("NetworkPolicy"):
        if "Egress" in policy["spec"]["policyTypes"] and selects(policy, labels):
            yield from policy["spec"].get("egress", [])


def selects(policy: Object, labels: dict[str, str]) -> bool:
    selector = policy["spec"]["podSelector"]
    expressions = selector.get("matchExpressions", [])
    assert {expression["operator"] for expression in expressions} <= {"NotIn"}
    return selector.get("matchLabels", {}).items() <= labels.items() and not any(
        labels.get(expression["key"]) in expression["values"] for expression in expressions
    )


def reaches(overlay: Overlay, labels: dict[str, str], address: str, port: int) -> bool:
    return any(
        any(entry["port"] == port for entry in rule["ports"]) and (not rule.get("to") or any(_covers(peer, address) for peer in rule["to"]))
        for rule in rules(overlay, labels)
    )


def _covers(peer: dict[str, Any], address: str) -> bool:
    return "ipBlock" in peer and ip_address(address) in ip_network(peer["ipBlock"]["cidr"])


@pytest.mark.parametrize("resolver", [NODE_LOCAL, CLOUD_DNS])
def test_resolvers_on_the_network_of_the_node_are_allowed(prod: Overlay, resolver: str) -> None:
    assert all(reaches(prod, pod, resolver, 53) for pod in (MODEL, SMOKE, PROXY))
    assert not reaches(prod, SERVICE, resolver, 53)


@pytest.mark.parametrize(("address", "port"), [("169.254.169.254", 80), ("169.254.170.23", 80), ("203.0.113.1", 443), ("10.0.0.1", 9000)])
def test_only_the_model_job_reaches_model_stores_and_node_roles(prod: Overlay, address: str, port: int) -> None:
    assert reaches(prod, MODEL, address, port)
    assert not any(reaches(prod, pod, address, port) for pod in (SMOKE, SERVICE))
    assert not reaches(prod, MODEL, "203.0.113.1", 80)
