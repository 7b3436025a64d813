"""startup-budget: no controller reports a healthy rollout as failed, or as finished, while it is in progress."""

import math
from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, at, main_container
from delivery.policy.overlay import Overlay
from delivery.policy.shutdown_budget import MARGIN, grace_period
from delivery.rendering import Object

LONGEST_PERIOD = 30  # seconds between startup probes: a loaded pod may wait this long to become ready


def deadlines(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        yield from _startup(overlay, deployment)
        yield from _deadline(overlay, deployment)
    for job in overlay.of("Job"):
        if at(job, "spec", "activeDeadlineSeconds") is None:
            because = "a Job that hangs blocks the rollout and the sync forever"
            yield overlay.problem(job, "spec.activeDeadlineSeconds", None, because, "seconds for all its attempts", key="spec")
    if overlay.production and overlay.name not in overlay.facts.syncs:
        because = "no cluster syncs it, neither with Argo CD nor with Flux, so it runs nowhere"
        yield overlay.missing(f"clusters/*: path {overlay.rendered.folder}", because, "a sync object in clusters/, or remove the overlay")


def _startup(overlay: Overlay, deployment: Object) -> Iterator[Problem]:
    probe, budget = main_container(deployment).get("startupProbe", {}), startup_budget(deployment)
    load = float(overlay.setting("ENGINE_LOAD_TIMEOUT")) + MARGIN
    if deployment["metadata"]["name"] == SERVICE and budget < load:
        because = f"loading may take ENGINE_LOAD_TIMEOUT + {MARGIN} = {load:g} s, but the kubelet kills the pod earlier"
        path = "containers[0].startupProbe.failureThreshold"
        yield overlay.problem(deployment, path, f"{budget:g} s", because, f"at least {load:g} s, with periodSeconds")
    period = probe.get("periodSeconds", 10)
    if period > LONGEST_PERIOD:
        because = f"a loaded pod stays unready for up to {period} s, and a single failed probe may kill it"
        path = "containers[0].startupProbe.periodSeconds"
        yield overlay.problem(deployment, path, period, because, f"at most {LONGEST_PERIOD}, with a failureThreshold to match")


def startup_budget(deployment: Object) -> float:
    probe = main_container(deployment).get("startupProbe", {})
    return float(probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10) + probe.get("initialDelaySeconds", 0))


def _deadline(overlay: Overlay, deployment: Object) -> Iterator[Problem]:
    parts = {
        "grace": grace_period(deployment),
        "image pull": float(at(deployment, "metadata", "annotations", "llm-api/image-pull-seconds") or 300),
        "model download": _download(overlay),
        "startup budget": startup_budget(deployment),
        "minReadySeconds": float(deployment["spec"].get("minReadySeconds", 0)),
    }
    total, deadline = sum(parts.values()), deployment["spec"].get("progressDeadlineSeconds", 600)
    if deadline <= total:
        because = " + ".join(f"{name} {seconds:g}" for name, seconds in parts.items()) + f" = {total:g} s"
        fix = f"more than {total:g}: a slow but healthy rollout must not be reported as failed"
        yield overlay.problem(deployment, "spec.progressDeadlineSeconds", deadline, because, fix)
    yield from _sync_timeout(overlay, deployment, deadline)


def _download(overlay: Overlay) -> float:
    """Seconds that the Jobs before a rollout may take."""
    before = [job for job in overlay.of("Job") if at(job, "metadata", "annotations", "argocd.argoproj.io/hook") != "PostSync"]
    return sum(float(at(job, "spec", "activeDeadlineSeconds") or 0) for job in before)


def _sync_timeout(overlay: Overlay, deployment: Object, deadline: float) -> Iterator[Problem]:
    strategy = at(deployment, "spec", "strategy", "rollingUpdate") or {}
    batch = max(_count(strategy.get("maxUnavailable", 1)), _count(strategy.get("maxSurge", 1)), 1)
    needed = math.ceil(overlay.maximum(deployment) / batch) * deadline
    for sync in overlay.facts.syncs.get(overlay.name, ()):
        if sync.timeout is not None and sync.timeout < needed:
            because = f"ceil({overlay.maximum(deployment)} replicas / {batch} at a time) x progressDeadlineSeconds {deadline} = {needed} s"
            yield Problem(sync.file, "spec.timeout", f"{sync.timeout:g}s", because, f"at least {needed}s")


def _count(value: object) -> int:
    return value if isinstance(value, int) else 1  # a percentage of few replicas is one pod
