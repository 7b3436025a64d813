"""replicas-owner: one owner sets the replicas, and production has enough of them to survive a node drain."""

from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import at
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

LEAST = 2
PAUSED = ("autoscaling.keda.sh/paused-replicas", "autoscaling.keda.sh/paused")
OUTAGE = "with one replica every node drain is an outage; with none the service is down"


def replicas(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        scaler, count = overlay.scaler(deployment), deployment["spec"].get("replicas")
        if scaler and count is not None:
            because = f"ScaledObject/{scaler['metadata']['name']} sets them: every sync would undo its scaling"
            yield overlay.problem(
                deployment, "spec.replicas", count, because, "remove replicas: the number is minReplicas in environment.yaml"
            )
        if overlay.production and not scaler and (1 if count is None else count) < LEAST:
            yield overlay.problem(deployment, "spec.replicas", count, OUTAGE, f"at least {LEAST}")
    for other in overlay.of("HorizontalPodAutoscaler"):
        because = "KEDA creates one for each ScaledObject: two would undo each other's scaling"
        name = at(other, "spec", "scaleTargetRef", "name")
        yield overlay.problem(other, "spec.scaleTargetRef.name", name, because, "remove it; components/autoscaling has a ScaledObject")
    for scaler in overlay.of("ScaledObject"):
        yield from _scaler(overlay, scaler)


def _scaler(overlay: Overlay, scaler: Object) -> Iterator[Problem]:
    spec = scaler["spec"]
    least, most = spec.get("minReplicaCount", 0), spec.get("maxReplicaCount", 100)
    if most < least:
        because = f"it is less than minReplicaCount {least}: KEDA rejects the object"
        yield overlay.problem(scaler, "spec.maxReplicaCount", most, because, f"at least {least}", key="maxReplicas")
    for annotation in PAUSED:
        given = at(scaler, "metadata", "annotations", annotation)
        if given is not None:
            because = "the replicas no longer follow the load"
            yield overlay.problem(scaler, f"metadata.annotations[{annotation}]", given, because, "remove it once the incident is over")
    counts = {"minReplicaCount": least, "idleReplicaCount": spec.get("idleReplicaCount"), "fallback.replicas": _fallback(scaler)}
    for path, count in counts.items():
        if overlay.production and count is not None and count < LEAST:
            fix = f"at least {LEAST}" if path != "idleReplicaCount" else "remove it: minReplicaCount applies when idle too"
            key = path if path == "idleReplicaCount" else "minReplicas"
            yield overlay.problem(scaler, f"spec.{path}", count, OUTAGE, fix, key=key)


def _fallback(scaler: Object) -> int | None:
    count: int | None = at(scaler, "spec", "fallback", "replicas")
    return count
