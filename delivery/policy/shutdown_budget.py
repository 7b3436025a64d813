"""shutdown-budget: a terminating pod finishes its requests."""

from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, at, main_container
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

MARGIN = 30  # seconds to start the process, or to end it after its last request
PROPAGATION = 5  # seconds until every proxy has removed the endpoint
PRE_STOP = "containers[0].lifecycle.preStop"


def grace(overlay: Overlay) -> Iterator[Problem]:
    request, drain, duck = (float(overlay.setting(name)) for name in ("REQUEST_TIMEOUT", "DRAIN_TIMEOUT", "LAME_DUCK_SECONDS"))
    for deployment in overlay.of("Deployment"):
        ours = deployment["metadata"]["name"] == SERVICE
        if ours and request > drain:
            because = f"a request may take {request:g} s, but the drain ends after DRAIN_TIMEOUT {drain:g} s and cuts the request off"
            yield overlay.problem(deployment, "env REQUEST_TIMEOUT", f"{request:g}", because, "REQUEST_TIMEOUT <= DRAIN_TIMEOUT")
        stop = pre_stop(deployment)
        parts = f"preStop {stop:g} + lame duck {duck:g} + DRAIN_TIMEOUT {drain:g}" if ours else f"preStop {stop:g}"
        yield from _period(overlay, deployment, stop + (duck + drain if ours else 0) + MARGIN, parts)
        if stop + (duck if ours else 0) < PROPAGATION:
            because = f"a pod must keep serving for about {PROPAGATION} s, until every proxy has removed its endpoint"
            yield overlay.problem(deployment, f"{PRE_STOP}.sleep.seconds", stop, because, "sleep 10 s, or LAME_DUCK_SECONDS 5")


def _period(overlay: Overlay, deployment: Object, needed: float, parts: str) -> Iterator[Problem]:
    given = grace_period(deployment)
    if not needed <= given < 600:
        because = f"it must be at least {parts} + margin {MARGIN} = {needed:g}, and under 600: cluster-autoscaler waits no longer"
        path = "spec.template.spec.terminationGracePeriodSeconds"
        yield overlay.problem(deployment, path, given, because, f"at least {needed:g}, or a shorter drain")


def grace_period(deployment: Object) -> float:
    given = at(deployment, "spec", "template", "spec", "terminationGracePeriodSeconds")
    return 30 if given is None else float(given)


def pre_stop(deployment: Object) -> float:
    return float(at(main_container(deployment), "lifecycle", "preStop", "sleep", "seconds") or 0)
