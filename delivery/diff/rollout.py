"""How a Deployment's rollout goes, by the rules of its controller: how many pods serve meanwhile, and for how long at most."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from delivery.kustomize import Object
from delivery.policy.overlay import at
from delivery.policy.rollout import GPU

Objects = Mapping[tuple[str, str], Object]
# Of an autoscaler: its fields for the least and the most, and what they are where they are not given.
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
    """maxSurge, maxUnavailable: a number or a percentage."""
    deadline: int
    """Seconds that one batch may take: progressDeadlineSeconds."""
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
        return " to ".join(f"{count - self._pace(count)[1]} of {count}" for count in counts) + " serving"

    @property
    def at_most(self) -> str:
        count = self.replicas.most
        batches = 1 if self.recreate else math.ceil(count / max(sum(self._pace(count)), 1))
        return f"at most {batches} x {math.ceil(self.deadline / 60)} min"

    @property
    def spare(self) -> str:
        """What a rollout needs beside what runs."""
        what, surge = "GPU" if self.gpu else "replica's room", self._pace(self.replicas.most)[0]
        return f"{surge} spare {what} needed" if surge else f"no spare {what} needed"

    def _pace(self, count: int) -> tuple[int, int]:
        """Pods that come before others go, and that go before others come. As Kubernetes resolves them: up, down, and never both 0."""
        if self.recreate:
            return 0, count
        surge, unavailable = (_pods(*given) for given in zip(self.limits, (count, count), (math.ceil, math.floor), strict=True))
        return surge, min(unavailable if surge or unavailable else 1, count)


def _pods(value: int | str, count: int, rounded: Callable[[float], int]) -> int:
    return value if isinstance(value, int) else rounded(count * int(value.removesuffix("%")) / 100)
