"""What a sync will do to what runs: which Deployments restart, how many serve meanwhile, for how long at most."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from delivery.kustomize import Object, Rendered
from delivery.policy.overlay import at
from delivery.policy.rollout import GPU

KEPT = ("PersistentVolumeClaim", "Namespace")


def forecast(old: Rendered, new: Rendered) -> Iterator[str]:
    """One line for each thing that somebody should know before it is merged."""
    before, after = ({(found["kind"], found["metadata"]["name"]): found for found in state.objects} for state in (old, new))
    for (kind, name), found in after.items():
        last = before.get((kind, name))
        if kind == "Deployment":
            yield _deployment(name, last, found, after)
        elif kind in KEPT and last and last.get("spec") != found.get("spec"):
            yield f"{kind}/{name} changes its spec, most of which Kubernetes refuses to change"
    for kind, name in before:
        if (kind, name) not in after:
            yield f"{kind}/{name} goes" + (": it is kept in the cluster, never pruned" if kind in KEPT else "")


def _deployment(name: str, last: Object | None, found: Object, objects: dict[tuple[str, str], Object]) -> str:
    rollout = Rollout.of(found, objects)
    if last is None:
        return f"starts {name}: {rollout.replicas} replicas{rollout.at_most}"
    if last["spec"]["template"] == found["spec"]["template"]:
        return f"restarts nothing of {name}: its pods stay"
    return f"restarts {name}: {rollout.serving} of {rollout.replicas} serving{rollout.at_most}, {rollout.spare}"


@dataclass(frozen=True)
class Rollout:
    replicas: int
    surge: int
    unavailable: int
    deadline: int
    """Seconds that one batch may take: progressDeadlineSeconds."""
    gpu: bool

    @classmethod
    def of(cls, deployment: Object, objects: dict[tuple[str, str], Object]) -> "Rollout":
        spec = deployment["spec"]
        replicas = _replicas(deployment, objects)
        rolling = at(spec, "strategy", "rollingUpdate") or {}
        limits = at(spec["template"]["spec"]["containers"][0], "resources", "limits") or {}
        surge = _count(rolling.get("maxSurge", "25%"), replicas, math.ceil)
        unavailable = _count(rolling.get("maxUnavailable", "25%"), replicas, math.floor)
        return cls(replicas, surge, unavailable, spec.get("progressDeadlineSeconds", 600), GPU in limits)

    @property
    def serving(self) -> int:
        return self.replicas - self.unavailable

    @property
    def at_most(self) -> str:
        batches = math.ceil(self.replicas / max(self.surge + self.unavailable, 1))
        return f", at most {batches} x {math.ceil(self.deadline / 60)} min"

    @property
    def spare(self) -> str:
        """What a rollout needs beside what runs."""
        what = "GPU" if self.gpu else "replica's room"
        return f"{self.surge} spare {what} needed" if self.surge else f"no spare {what} needed"


def _replicas(deployment: Object, objects: dict[tuple[str, str], Object]) -> int:
    """At least; an autoscaler may have more running."""
    for (kind, _), found in objects.items():
        if kind == "ScaledObject" and found["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
            return int(found["spec"].get("minReplicaCount", 0))
    return int(deployment["spec"].get("replicas", 1))


def _count(value: int | str, replicas: int, rounded: Callable[[float], int]) -> int:
    return value if isinstance(value, int) else rounded(replicas * int(value.removesuffix("%")) / 100)
