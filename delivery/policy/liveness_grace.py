"""liveness-grace: a hung pod is restarted quickly, a busy one is not."""

from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, at, main_container
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

PATHS = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
PORT = "management"
LONGEST = 120  # seconds from a hang to the restart


def probes(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        container = main_container(deployment)
        yield from _endpoints(overlay, deployment, container)
        yield from _restart(overlay, deployment, container)
        yield from _tolerance(overlay, deployment, container)


def _endpoints(overlay: Overlay, deployment: Object, container: Object) -> Iterator[Problem]:
    ours = deployment["metadata"]["name"] == SERVICE
    for name, wanted in PATHS.items():
        path, port = (at(container, name, "httpGet", key) for key in ("path", "port"))
        if path is None or (ours and path != wanted):
            because = "readiness means that the model is loaded, liveness that the engine makes progress; neither depends on load"
            yield overlay.problem(deployment, f"containers[0].{name}.httpGet.path", path, because, wanted, key="path")
        if ours and port != PORT:
            because = "port http is for clients: a probe there queues behind requests and needs an API key"
            yield overlay.problem(deployment, f"containers[0].{name}.httpGet.port", port, because, PORT)


def _restart(overlay: Overlay, deployment: Object, container: Object) -> Iterator[Problem]:
    liveness = container.get("livenessProbe", {})
    period = liveness.get("terminationGracePeriodSeconds")
    if period is None or not 1 <= period <= 10:
        because = "a hung pod would use its whole grace period before it is restarted" if period != 0 else "the minimum in Kubernetes is 1"
        yield overlay.problem(deployment, "containers[0].livenessProbe.terminationGracePeriodSeconds", period, because, "10")
    wait = liveness.get("periodSeconds", 10) * liveness.get("failureThreshold", 3)
    if wait > LONGEST:
        because = "a pod hangs for this long before it is restarted"
        path = "containers[0].livenessProbe.failureThreshold"
        yield overlay.problem(deployment, path, f"{wait} s", because, f"at most {LONGEST} s, with periodSeconds")


def _tolerance(overlay: Overlay, deployment: Object, container: Object) -> Iterator[Problem]:
    for name in ("readinessProbe", "livenessProbe"):
        probe = container.get(name, {})
        for key, default, least in (("failureThreshold", 3, 2), ("timeoutSeconds", 1, 2)):
            if probe.get(key, default) < least:
                because = "one response that is a second late, as under load, would take the pod out of service"
                yield overlay.problem(deployment, f"containers[0].{name}.{key}", probe.get(key), because, f"at least {least}")
