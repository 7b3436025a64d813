"""Invariants 1 to 6: a rollout, a drain and a restart lose nothing and come to an end."""

import math
from collections.abc import Iterator

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import SERVICE, Overlay, at, main_container

MARGIN = 30  # seconds: to start a process, or to end one after its last request
GPU = "nvidia.com/gpu"
STRATEGY = "spec.strategy.rollingUpdate"


def replicas(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        scaler, count = overlay.scaler(deployment), deployment["spec"].get("replicas")
        if scaler and count is not None:
            because = f"ScaledObject/{scaler['metadata']['name']} owns them: every sync would undo its scaling"
            yield overlay.problem(deployment, "spec.replicas", count, because, "remove replicas; the ScaledObject has minReplicaCount")
        if overlay.production:
            owner, path = (scaler, "spec.minReplicaCount") if scaler else (deployment, "spec.replicas")
            least = owner["spec"].get(path.removeprefix("spec."), 0 if scaler else 1)
            if least < 2:
                because, key = "one replica is an outage at every node drain", "minReplicas" if scaler else "replicas"
                yield overlay.problem(owner, path, least, because, "at least 2", key=key)


def grace(overlay: Overlay) -> Iterator[Problem]:
    request, drain = float(overlay.setting("REQUEST_TIMEOUT")), float(overlay.setting("DRAIN_TIMEOUT"))
    for deployment in overlay.of("Deployment"):
        ours = deployment["metadata"]["name"] == SERVICE
        if ours and request > drain:
            because = f"a request may take {request:g} s, but the drain ends after DRAIN_TIMEOUT {drain:g} s and cuts it"
            yield overlay.problem(deployment, "env REQUEST_TIMEOUT", f"{request:g}", because, "REQUEST_TIMEOUT <= DRAIN_TIMEOUT")
        duck = float(overlay.setting("LAME_DUCK_SECONDS"))
        stop = pre_stop(deployment)
        needed = stop + (duck + drain if ours else 0) + MARGIN
        given = at(deployment, "spec", "template", "spec", "terminationGracePeriodSeconds") or 30
        if not needed <= given < 600:
            parts = f"preStop {stop:g} + lame duck {duck:g} + DRAIN_TIMEOUT {drain:g}" if ours else f"preStop {stop:g}"
            because = f"{parts} + margin {MARGIN} = {needed:g}, and under 600, where cluster-autoscaler stops waiting"
            path = "spec.template.spec.terminationGracePeriodSeconds"
            yield overlay.problem(deployment, path, given, because, f"at least {needed:g}, or a shorter drain")
        if stop + (duck if ours else 0) < 5:
            because, path = (
                "until the endpoint is out everywhere, about 5 s, a pod must serve",
                "containers[0].lifecycle.preStop.sleep.seconds",
            )
            yield overlay.problem(deployment, path, stop, because, "sleep 10 s, or LAME_DUCK_SECONDS 5")


def pre_stop(deployment: Object) -> float:
    return float(at(main_container(deployment), "lifecycle", "preStop", "sleep", "seconds") or 0)


def progress(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        budget = startup_budget(deployment)
        load = float(overlay.setting("ENGINE_LOAD_TIMEOUT")) + MARGIN
        if deployment["metadata"]["name"] == SERVICE and budget < load:
            because = f"the kubelet kills a pod that may load for ENGINE_LOAD_TIMEOUT + {MARGIN} = {load:g} s"
            path = "containers[0].startupProbe.failureThreshold"
            yield overlay.problem(deployment, path, f"{budget:g} s", because, f"at least {load:g} s, with periodSeconds")
        yield from _deadline(overlay, deployment, budget)


def _deadline(overlay: Overlay, deployment: Object, budget: float) -> Iterator[Problem]:
    grace_seconds = at(deployment, "spec", "template", "spec", "terminationGracePeriodSeconds") or 30
    pull = float(at(deployment, "metadata", "annotations", "llm-api/image-pull-seconds") or 300)
    download = sum(float(job["spec"].get("activeDeadlineSeconds", 0)) for job in overlay.of("Job") if not _comes_after(job))
    total, deadline = grace_seconds + pull + download + budget, deployment["spec"].get("progressDeadlineSeconds", 600)
    if deadline <= total:
        because = f"grace {grace_seconds} + image pull {pull:g} + model download {download:g} + startup budget {budget:g} = {total:g} s"
        fix = f"more than {total:g}: a slow but healthy rollout must not be called failed"
        yield overlay.problem(deployment, "spec.progressDeadlineSeconds", deadline, because, fix)
    yield from _sync_timeout(overlay, deployment, deadline)


def _comes_after(job: Object) -> bool:
    return bool(at(job, "metadata", "annotations", "argocd.argoproj.io/hook") == "PostSync")


def _sync_timeout(overlay: Overlay, deployment: Object, deadline: float) -> Iterator[Problem]:
    strategy = at(deployment, "spec", "strategy", "rollingUpdate") or {}
    batch = max(_count(strategy.get("maxUnavailable", 1)), _count(strategy.get("maxSurge", 1)), 1)
    needed = math.ceil(overlay.maximum(deployment) / batch) * deadline
    if overlay.name in overlay.facts.sync_timeouts:
        file, given = overlay.facts.sync_timeouts[overlay.name]
        if given < needed:
            because = f"ceil({overlay.maximum(deployment)} replicas / {batch} at a time) x progressDeadlineSeconds {deadline} = {needed} s"
            yield Problem(file, "spec.timeout", f"{given:g}s", because, f"at least {needed}s")


def _count(value: object) -> int:
    return value if isinstance(value, int) else 1  # a percentage of few replicas is one


def startup_budget(deployment: Object) -> float:
    probe = main_container(deployment).get("startupProbe", {})
    return float(probe.get("failureThreshold", 3) * probe.get("periodSeconds", 10) + probe.get("initialDelaySeconds", 0))


def gpu_rollout(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        resources = main_container(deployment).get("resources", {})
        asked, limit = at(resources, "requests", GPU), at(resources, "limits", GPU)
        if asked is None and limit is None:
            continue
        if asked != limit:
            path = f"containers[0].resources.requests[{GPU}]"
            yield overlay.problem(deployment, path, asked, f"the limit is {limit}", "requests = limits")
        strategy = at(deployment, "spec", "strategy", "rollingUpdate") or {}
        for key, wanted in (("maxSurge", 0), ("maxUnavailable", 1)):
            if strategy.get(key) != wanted:
                because = "a surge pod waits for a GPU that the old pod holds, and the rollout hangs"
                yield overlay.problem(deployment, f"{STRATEGY}.{key}", strategy.get(key), because, f"{key}: {wanted} (components/gpu)")
        tolerations = deployment["spec"]["template"]["spec"].get("tolerations", [])
        if not any(toleration.get("key") == GPU for toleration in tolerations):
            because = f"GPU nodes carry the taint {GPU}"
            yield overlay.problem(deployment, "spec.template.spec.tolerations", tolerations, because, f"tolerate {GPU}")


def probes(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        container = main_container(deployment)
        ours = deployment["metadata"]["name"] == SERVICE
        period = at(container, "livenessProbe", "terminationGracePeriodSeconds")
        if period is None or period > 10:
            because = "a hung pod would sit out its whole drain before it is restarted"
            yield overlay.problem(deployment, "containers[0].livenessProbe.terminationGracePeriodSeconds", period, because, "10")
        for name, wanted in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
            path = at(container, name, "httpGet", "path")
            if path is None or (ours and path != wanted):
                because = "readiness says that the model is loaded, liveness that it makes progress; neither depends on load"
                yield overlay.problem(deployment, f"containers[0].{name}.httpGet.path", path, because, wanted)


def disruption(overlay: Overlay) -> Iterator[Problem]:
    for deployment in overlay.of("Deployment"):
        selector = deployment["spec"]["selector"]
        budget = next((found for found in overlay.of("PodDisruptionBudget") if found["spec"].get("selector") == selector), None)
        if budget is None:
            yield overlay.problem(deployment, "spec.selector", selector, "no PodDisruptionBudget has it", "add one, maxUnavailable: 1")
            continue
        spec = budget["spec"]
        if spec.get("maxUnavailable") != 1:
            field = "minAvailable" if "minAvailable" in spec else "maxUnavailable"
            because = "at the least number of replicas it would block every node drain, or let several drain at once"
            yield overlay.problem(budget, f"spec.{field}", spec.get(field), because, "maxUnavailable: 1, and no minAvailable")
        policy = spec.get("unhealthyPodEvictionPolicy")
        if policy != "AlwaysAllow":
            because = "a pod that never becomes Ready would hold up its node's drain"
            yield overlay.problem(budget, "spec.unhealthyPodEvictionPolicy", policy, because, "AlwaysAllow")
