"""Invariant 3: nobody calls a rollout failed, or over, while it is healthy and under way."""

import math
from collections.abc import Iterator

from delivery.kustomize import Object
from delivery.policy.drain import MARGIN, grace_period
from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, at, main_container

LONGEST_PERIOD = 30  # seconds between two startup probes: as long may a loaded pod stand idle


def progress(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        yield from _startup(overlay, deployment)
        yield from _deadline(overlay, deployment)
    for job in overlay.of("Job"):
        if at(job, "spec", "activeDeadlineSeconds") is None:
            because = "a Job that hangs holds up the rollout, and the sync, without end"
            yield overlay.problem(job, "spec.activeDeadlineSeconds", None, because, "seconds for all its tries", key="spec")
    if overlay.production and overlay.name not in overlay.facts.syncs:
        because = "no cluster syncs it, neither by Argo CD nor by Flux: what it says runs nowhere"
        yield overlay.missing(f"clusters/*: path {overlay.rendered.folder}", because, "a sync object in clusters/, or remove the overlay")


def _startup(overlay: Overlay, deployment: Object) -> Iterator[Problem]:
    probe, budget = main_container(deployment).get("startupProbe", {}), startup_budget(deployment)
    load = float(overlay.setting("ENGINE_LOAD_TIMEOUT")) + MARGIN
    if deployment["metadata"]["name"] == SERVICE and budget < load:
        because = f"the kubelet kills a pod that may load for ENGINE_LOAD_TIMEOUT + {MARGIN} = {load:g} s"
        path = "containers[0].startupProbe.failureThreshold"
        yield overlay.problem(deployment, path, f"{budget:g} s", because, f"at least {load:g} s, with periodSeconds")
    period = probe.get("periodSeconds", 10)
    if period > LONGEST_PERIOD:
        because = f"a pod that is ready stands idle for up to {period} s, and one failed probe ends the wait"
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
        fix = f"more than {total:g}: a slow but healthy rollout must not be called failed"
        yield overlay.problem(deployment, "spec.progressDeadlineSeconds", deadline, because, fix)
    yield from _sync_timeout(overlay, deployment, deadline)


def _download(overlay: Overlay) -> float:
    """Of the Jobs that a rollout waits for."""
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
    return value if isinstance(value, int) else 1  # a percentage of few replicas is one
