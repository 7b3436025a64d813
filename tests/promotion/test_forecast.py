"""The forecast follows the rules of Kubernetes' controllers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from delivery.diff.forecast import forecast
from delivery.rendering import Object, Rendered

LABELS = {"app.kubernetes.io/name": "llm-api"}


def deployment(image: str = "a", replicas: int | None = 3, labels: dict[str, str] = LABELS, **strategy: Any) -> Object:
    pod = {"containers": [{"name": "llm-api", "image": image}]}
    spec: Object = {"selector": {"matchLabels": labels}, "template": {"spec": pod}, "progressDeadlineSeconds": 600}
    spec |= {"strategy": strategy} if strategy else {}
    spec |= {"replicas": replicas} if replicas is not None else {}
    return {"kind": "Deployment", "metadata": {"name": "llm-api"}, "spec": spec}


def rolling(**limits: int | str) -> dict[str, Any]:
    return {"type": "RollingUpdate", "rollingUpdate": limits}


def scaled(least: int, most: int) -> Object:
    target = {"scaleTargetRef": {"name": "llm-api"}}
    return {"kind": "ScaledObject", "metadata": {"name": "x"}, "spec": target | {"minReplicaCount": least, "maxReplicaCount": most}}


def autoscaled(least: int, most: int) -> Object:
    target = {"scaleTargetRef": {"name": "llm-api"}}
    return {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "x"}, "spec": target | {"minReplicas": least, "maxReplicas": most}}


def job(image: str, **annotations: str) -> Object:
    metadata = {"name": "model", "annotations": {name.replace("__", "/"): value for name, value in annotations.items()}}
    return {"kind": "Job", "metadata": metadata, "spec": {"activeDeadlineSeconds": 1200, "template": {"image": image}}}


def said(before: list[Object], after: list[Object]) -> list[str]:
    def lines() -> Iterator[str]:
        yield from forecast(*(Rendered("overlays/x", objects, Path(), {}) for objects in (before, after)))

    return list(lines())


@pytest.mark.parametrize(
    ("strategy", "serving", "batches", "spare"),
    [
        (rolling(maxSurge=0, maxUnavailable=1), "2 of 3", 3, "no extra capacity"),
        (rolling(maxSurge=1, maxUnavailable=0), "3 of 3", 3, "capacity for 1 more"),
        ({}, "3 of 3", 3, "capacity for 1 more"),  # the default: 25% rounded up, and 25% rounded down
        (rolling(maxSurge="0%", maxUnavailable="0%"), "2 of 3", 3, "no extra capacity"),
        (rolling(maxSurge=0, maxUnavailable="10%"), "2 of 3", 3, "no extra capacity"),
        (rolling(maxSurge="100%", maxUnavailable=0), "3 of 3", 1, "capacity for 3 more"),
        (rolling(maxSurge=0, maxUnavailable=9), "0 of 3", 1, "no extra capacity"),
        ({"type": "Recreate"}, "0 of 3", 1, "no extra capacity"),
    ],
)
def test_the_rollout_follows_its_strategy(strategy: dict[str, Any], serving: str, batches: int, spare: str) -> None:
    line = f"restarts llm-api: {serving} serving, at most {batches} x 10 min, needs {spare}"
    assert said([deployment("a", **strategy)], [deployment("b", **strategy)]) == [line]


@pytest.mark.parametrize("scaler", [scaled, autoscaled])
def test_the_range_of_an_autoscaler_counts(scaler: Any) -> None:
    strategy = rolling(maxSurge=0, maxUnavailable=1)
    states = ([deployment(image, None, **strategy), scaler(3, 6)] for image in "ab")
    assert said(*states) == ["restarts llm-api: 2 of 3 to 5 of 6 serving, at most 6 x 10 min, needs no extra capacity"]


def test_a_changed_number_of_replicas_is_reported() -> None:
    assert said([deployment(replicas=None), scaled(3, 6)], [deployment(replicas=None), scaled(1, 6)]) == [
        "scales llm-api: 1 to 6 replicas instead of 3 to 6",
        "does not restart llm-api: only the number of pods changes",
    ]
    assert said([deployment(replicas=2)], [deployment(replicas=4)])[0] == "scales llm-api: 4 replicas instead of 2"
    assert said([deployment()], [deployment()]) == ["does not restart llm-api"]


def test_a_changed_selector_is_reported_as_a_failure() -> None:
    [line] = said([deployment()], [deployment(labels={"app": "llm-api"})])
    assert line.startswith("fails at Deployment/llm-api: spec.selector changes, but it is immutable")


@pytest.mark.parametrize(
    ("annotations", "outcome"),
    [
        ({"kustomize.toolkit.fluxcd.io__force": "enabled"}, "runs Job/model again, at most 20 min"),
        ({"argocd.argoproj.io__sync-options": "Force=true,Replace=true"}, "runs Job/model again, at most 20 min"),
        ({"argocd.argoproj.io__hook": "PostSync"}, "runs Job/model again, at most 20 min"),
        ({}, "fails at Job/model: its spec changes, but it is immutable; add the annotations that recreate the Job"),
    ],
)
def test_a_changed_job_runs_again_only_with_the_annotations(annotations: dict[str, str], outcome: str) -> None:
    assert said([job("a", **annotations)], [job("b", **annotations)]) == [outcome]
    assert said([job("a", **annotations)], [job("a", **annotations)]) == []
