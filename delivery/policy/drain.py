"""Invariant 2: a pod that goes finishes what it has begun."""

from collections.abc import Iterator

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, at, main_container

MARGIN = 30  # seconds: to start a process, or to end one after its last request
PROPAGATION = 5  # seconds until an endpoint is out everywhere
PRE_STOP = "containers[0].lifecycle.preStop"


def grace(overlay: Overlay) -> Iterator[Problem]:
    request, drain, duck = (float(overlay.setting(name)) for name in ("REQUEST_TIMEOUT", "DRAIN_TIMEOUT", "LAME_DUCK_SECONDS"))
    for deployment in overlay.of("Deployment"):
        ours = deployment["metadata"]["name"] == SERVICE
        if ours and request > drain:
            because = f"a request may take {request:g} s, but the drain ends after DRAIN_TIMEOUT {drain:g} s and cuts it"
            yield overlay.problem(deployment, "env REQUEST_TIMEOUT", f"{request:g}", because, "REQUEST_TIMEOUT <= DRAIN_TIMEOUT")
        stop = pre_stop(deployment)
        parts = f"preStop {stop:g} + lame duck {duck:g} + DRAIN_TIMEOUT {drain:g}" if ours else f"preStop {stop:g}"
        yield from _period(overlay, deployment, stop + (duck + drain if ours else 0) + MARGIN, parts)
        if stop + (duck if ours else 0) < PROPAGATION:
            because = f"until the endpoint is out everywhere, about {PROPAGATION} s, a pod must serve"
            yield overlay.problem(deployment, f"{PRE_STOP}.sleep.seconds", stop, because, "sleep 10 s, or LAME_DUCK_SECONDS 5")


def _period(overlay: Overlay, deployment: Object, needed: float, parts: str) -> Iterator[Problem]:
    given = grace_period(deployment)
    if not needed <= given < 600:
        because = f"{parts} + margin {MARGIN} = {needed:g}, and under 600, where cluster-autoscaler stops waiting"
        path = "spec.template.spec.terminationGracePeriodSeconds"
        yield overlay.problem(deployment, path, given, because, f"at least {needed:g}, or a shorter drain")


def grace_period(deployment: Object) -> float:
    given = at(deployment, "spec", "template", "spec", "terminationGracePeriodSeconds")
    return 30 if given is None else float(given)


def pre_stop(deployment: Object) -> float:
    return float(at(main_container(deployment), "lifecycle", "preStop", "sleep", "seconds") or 0)
