"""Forecasts a sync: which objects restart, run again, scale or are removed, and which changes Kubernetes will reject."""

import math
from collections.abc import Iterator

from delivery.diff.rollout import Objects, Replicas, Rollout
from delivery.policy.objects import at
from delivery.rendering import Object, Rendered

KEPT = ("PersistentVolumeClaim", "Namespace")
# A Job's template is immutable. With one of these annotations the controller deletes and recreates the Job.
RECREATED = {
    "kustomize.toolkit.fluxcd.io/force": "enabled",
    "argocd.argoproj.io/sync-options": "Force=true",
    "argocd.argoproj.io/hook": "Sync",
}


def forecast(old: Rendered, new: Rendered) -> Iterator[str]:
    """One line for each effect of the sync."""
    before, after = ({(found["kind"], found["metadata"]["name"]): found for found in state.objects} for state in (old, new))
    for (kind, name), found in after.items():
        last = before.get((kind, name))
        if kind == "Deployment":
            yield from _deployment(name, last, found, before, after)
        elif kind == "Job":
            yield from _job(name, last, found)
        elif kind in KEPT and last and last.get("spec") != found.get("spec"):
            yield f"{kind}/{name} changes its spec, most of which is immutable in Kubernetes"
    for kind, name in before:
        if (kind, name) not in after:
            yield f"removes {kind}/{name}" + (" from the tree; it stays in the cluster, because it is never pruned" if kind in KEPT else "")


def _deployment(name: str, last: Object | None, found: Object, before: Objects, after: Objects) -> Iterator[str]:
    rollout = Rollout.of(found, after)
    if last is None:
        yield f"starts {name}: {rollout.replicas} replicas, {rollout.at_most}"
        return
    if last["spec"]["selector"] != found["spec"]["selector"]:
        yield f"fails at Deployment/{name}: spec.selector changes, but it is immutable; deleting the Deployment would be an outage"
        return
    was = Replicas.of(last, before)
    if was != rollout.replicas:
        yield f"scales {name}: {rollout.replicas} replicas instead of {was}"
    if last["spec"]["template"] != found["spec"]["template"]:
        yield f"restarts {name}: {rollout.serving}, {rollout.at_most}, {rollout.spare}"
    elif was == rollout.replicas:
        yield f"does not restart {name}"
    else:
        yield f"does not restart {name}: only the number of pods changes"


def _job(name: str, last: Object | None, found: Object) -> Iterator[str]:
    if last and last["spec"] == found["spec"]:
        return
    within = found["spec"].get("activeDeadlineSeconds")
    time = f", at most {math.ceil(within / 60)} min" if within else ""
    if last is None:
        yield f"runs Job/{name}{time}"
    elif _is_recreated(found):
        yield f"runs Job/{name} again{time}"
    else:
        yield f"fails at Job/{name}: its spec changes, but it is immutable; add the annotations that recreate the Job"


def _is_recreated(job: Object) -> bool:
    annotations = at(job, "metadata", "annotations") or {}
    return any(wanted in str(annotations.get(name, "")) for name, wanted in RECREATED.items())
