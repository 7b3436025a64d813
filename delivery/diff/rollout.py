"""How a Deployment's rollout proceeds, by the Deployment controller's rules: how many pods keep serving, and for how long at most."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from delivery.policy.gpu_rollout import GPU
from delivery.policy.objects import at
from delivery.rendering import Object

Objects = Mapping[tuple[str, str], Object]
# Per kind of autoscaler: the fields for the minimum and the maximum, with their defaults.
SCALERS = {
    "ScaledObject": (("minReplicaCount", 0), ("maxReplicaCount", 100)),
    "HorizontalPodAutoscaler": (("minReplicas", 1), ("maxReplicas", 1)),
}


@dataclass(frozen=True)
class Replicas:
    least: int
    most: int

    @classmethod
    def of(cls, deployment: Object, objects: Objects) -> "Replicas":
        for (kind, _), found in objects.items():
            if kind in SCALERS and found["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
                least, most = (int(found["spec"].get(*field)) for field in SCALERS[kind])
                return cls(least, most)
        count = int(deployment["spec"].get("replicas", 1))
        return cls(count, count)

    def __str__(self) -> str:
        return f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True)
class Rollout:
    replicas: Replicas
    recreate: bool
    limits: tuple[int | str, int | str]
    """maxSurge and maxUnavailable, each a number or a percentage."""
    deadline: int
    """progressDeadlineSeconds: seconds that one batch of pods may take."""
    gpu: bool

    @classmethod
    def of(cls, deployment: Object, objects: Objects) -> "Rollout":
        spec = deployment["spec"]
        rolling = at(spec, "strategy", "rollingUpdate") or {}
        resources = at(spec["template"]["spec"]["containers"][0], "resources", "limits") or {}
        return cls(
            Replicas.of(deployment, objects),
            at(spec, "strategy", "type") == "Recreate",
            (rolling.get("maxSurge", "25%"), rolling.get("maxUnavailable", "25%")),
            spec.get("progressDeadlineSeconds", 600),
            GPU in resources,
        )

    @property
    def serving(self) -> str:
        counts = dict.fromkeys((self.replicas.least, self.replicas.most))
        return " to ".join(f"{count - self._limits_in_pods(count)[1]} of {count}" for count in counts) + " serving"

    @property
    def at_most(self) -> str:
        count = self.replicas.most
        batches = 1 if self.recreate else math.ceil(count / max(sum(self._limits_in_pods(count)), 1))
        return f"at most {batches} x {math.ceil(self.deadline / 60)} min"

    @property
    def spare(self) -> str:
        """What the rollout needs in addition to the running pods."""
        surge, _ = self._limits_in_pods(self.replicas.most)
        if self.gpu:
            return f"needs {surge or 'no'} spare GPU"
        return f"needs capacity for {surge} more" if surge else "needs no extra capacity"

    def _limits_in_pods(self, count: int) -> tuple[int, int]:
        """maxSurge and maxUnavailable in pods. Kubernetes rounds the first up and the second down, and never uses 0 for both."""
        if self.recreate:
            return 0, count
        surge, unavailable = (_pods(*given) for given in zip(self.limits, (count, count), (math.ceil, math.floor), strict=True))
        return surge, min(unavailable if surge or unavailable else 1, count)


def _pods(value: int | str, count: int, rounded: Callable[[float], int]) -> int:
    return value if isinstance(value, int) else rounded(count * int(value.removesuffix("%")) / 100)
