"""gpu-rollout: a rollout on GPU nodes needs no spare GPU."""

from collections.abc import Iterator
from typing import Any

from delivery.policy.finding import Problem
from delivery.policy.objects import at
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

GPU = "nvidia.com/gpu"
STRATEGY = "spec.strategy.rollingUpdate"


def gpu_rollout(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        requests = list(_requests(deployment))
        for number, asked, limit in requests:
            path = f"containers[{number}].resources.requests[{GPU}]"
            if str(asked) != str(limit):
                yield overlay.problem(deployment, path, asked, f"the limit is {limit}", "requests equal to limits")
            elif not str(asked).isdecimal() or int(asked) < 1:
                because = "a pod that requests no GPU gets none"
                yield overlay.problem(
                    deployment, path, asked, because, "1 or more: gpus in environment.yaml; or remove components/gpu", key=GPU
                )
        if requests:
            yield from _strategy(overlay, deployment)
            yield from _toleration(overlay, deployment)


def _requests(deployment: Object) -> Iterator[tuple[int, Any, Any]]:
    for number, container in enumerate(deployment["spec"]["template"]["spec"]["containers"]):
        asked, limit = (at(container, "resources", kind, GPU) for kind in ("requests", "limits"))
        if asked is not None or limit is not None:
            yield number, asked, limit


def _strategy(overlay: Overlay, deployment: Object) -> Iterator[Problem]:
    strategy = at(deployment, "spec", "strategy", "rollingUpdate") or {}
    for key, wanted in (("maxSurge", 0), ("maxUnavailable", 1)):
        if strategy.get(key) != wanted:
            because = "a surge pod would wait for a GPU that an old pod holds, and the rollout would hang"
            yield overlay.problem(deployment, f"{STRATEGY}.{key}", strategy.get(key), because, f"{key}: {wanted} (components/gpu)")


def _toleration(overlay: Overlay, deployment: Object) -> Iterator[Problem]:
    tolerations = deployment["spec"]["template"]["spec"].get("tolerations", [])
    if not any(_tolerates(toleration) for toleration in tolerations):
        because = f"GPU nodes have the taint {GPU}:NoSchedule, with any value"
        fix = f"{{key: {GPU}, operator: Exists, effect: NoSchedule}}"
        yield overlay.problem(deployment, "spec.template.spec.tolerations", tolerations, because, fix)


def _tolerates(toleration: Object) -> bool:
    return (
        toleration.get("key") in {GPU, None}
        and toleration.get("operator") == "Exists"
        and toleration.get("effect") in {"NoSchedule", None}
        and "tolerationSeconds" not in toleration
    )
