"""disruption-budget: one pod at a time may be evicted, and an unhealthy one always."""

from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import pod_labels, selects
from delivery.policy.overlay import Overlay
from delivery.rendering import Object


def disruption(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        labels, selector = pod_labels(deployment), deployment["spec"]["selector"]
        budgets = [found for found in overlay.of("PodDisruptionBudget") if selects(found["spec"].get("selector") or {}, labels)]
        if not budgets:
            yield overlay.problem(
                deployment, "spec.selector", selector, "no PodDisruptionBudget selects its pods", "add one with maxUnavailable: 1"
            )
        for budget in budgets:
            yield from _budget(overlay, budget)
        if len(budgets) > 1:
            names = [budget["metadata"]["name"] for budget in budgets]
            because = f"pods of Deployment/{deployment['metadata']['name']} have several budgets, and then every eviction fails"
            yield overlay.problem(budgets[-1], "spec.selector", names, because, "one PodDisruptionBudget per pod")


def _budget(overlay: Overlay, budget: Object) -> Iterator[Problem]:
    spec = budget["spec"]
    if spec.get("maxUnavailable") != 1:
        field = "minAvailable" if "minAvailable" in spec else "maxUnavailable"
        because = "at the minimum of replicas it would block every node drain, or it would let several pods drain at once"
        yield overlay.problem(budget, f"spec.{field}", spec.get(field), because, "maxUnavailable: 1 and no minAvailable")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy != "AlwaysAllow":
        because = "a pod that never becomes Ready would block the drain of its node"
        yield overlay.problem(budget, "spec.unhealthyPodEvictionPolicy", policy, because, "AlwaysAllow")
