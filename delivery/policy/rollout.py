"""Invariants 4 and 6: a rollout needs no spare GPU, and one pod at a time may be disrupted."""

from collections.abc import Iterator
from typing import Any

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.labels import selects
from delivery.policy.overlay import Overlay, at, pod_labels

GPU = "nvidia.com/gpu"
STRATEGY = "spec.strategy.rollingUpdate"


def gpu_rollout(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        asking = list(_asking(deployment))
        for number, asked, limit in asking:
            path = f"containers[{number}].resources.requests[{GPU}]"
            if str(asked) != str(limit):
                yield overlay.problem(deployment, path, asked, f"the limit is {limit}", "requests = limits")
            elif not str(asked).isdecimal() or int(asked) < 1:
                because = "a pod that asks for no GPU gets none"
                yield overlay.problem(
                    deployment, path, asked, because, "1 or more: gpus in environment.yaml; or no components/gpu", key=GPU
                )
        if asking:
            yield from _one_goes_one_comes(overlay, deployment)
            yield from _toleration(overlay, deployment)


def _asking(deployment: Object) -> Iterator[tuple[int, Any, Any]]:
    for number, container in enumerate(deployment["spec"]["template"]["spec"]["containers"]):
        asked, limit = (at(container, "resources", kind, GPU) for kind in ("requests", "limits"))
        if asked is not None or limit is not None:
            yield number, asked, limit


def _one_goes_one_comes(overlay: Overlay, deployment: Object) -> Iterator[Problem]:
    strategy = at(deployment, "spec", "strategy", "rollingUpdate") or {}
    for key, wanted in (("maxSurge", 0), ("maxUnavailable", 1)):
        if strategy.get(key) != wanted:
            because = "a surge pod waits for a GPU that the old pod holds, and the rollout hangs"
            yield overlay.problem(deployment, f"{STRATEGY}.{key}", strategy.get(key), because, f"{key}: {wanted} (components/gpu)")


def _toleration(overlay: Overlay, deployment: Object) -> Iterator[Problem]:
    tolerations = deployment["spec"]["template"]["spec"].get("tolerations", [])
    if not any(_tolerates(toleration) for toleration in tolerations):
        because = f"GPU nodes carry the taint {GPU}:NoSchedule, with one value or another"
        fix = f"{{key: {GPU}, operator: Exists, effect: NoSchedule}}"
        yield overlay.problem(deployment, "spec.template.spec.tolerations", tolerations, because, fix)


def _tolerates(toleration: Object) -> bool:
    return (
        toleration.get("key") in {GPU, None}
        and toleration.get("operator") == "Exists"
        and toleration.get("effect") in {"NoSchedule", None}
        and "tolerationSeconds" not in toleration
    )


def disruption(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        labels, selector = pod_labels(deployment), deployment["spec"]["selector"]
        budgets = [found for found in overlay.of("PodDisruptionBudget") if selects(found["spec"].get("selector") or {}, labels)]
        if not budgets:
            yield overlay.problem(deployment, "spec.selector", selector, "no PodDisruptionBudget has it", "add one, maxUnavailable: 1")
        for budget in budgets:
            yield from _budget(overlay, budget)
        if len(budgets) > 1:
            names = [budget["metadata"]["name"] for budget in budgets]
            because = f"pods of Deployment/{deployment['metadata']['name']} have several: an eviction then always fails"
            yield overlay.problem(budgets[-1], "spec.selector", names, because, "one PodDisruptionBudget for a pod")


def _budget(overlay: Overlay, budget: Object) -> Iterator[Problem]:
    spec = budget["spec"]
    if spec.get("maxUnavailable") != 1:
        field = "minAvailable" if "minAvailable" in spec else "maxUnavailable"
        because = "at the least number of replicas it would block every node drain, or let several drain at once"
        yield overlay.problem(budget, f"spec.{field}", spec.get(field), because, "maxUnavailable: 1, and no minAvailable")
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy != "AlwaysAllow":
        because = "a pod that never becomes Ready would hold up its node's drain"
        yield overlay.problem(budget, "spec.unhealthyPodEvictionPolicy", policy, because, "AlwaysAllow")
