"""overlays/prod on nodes simulated by kwok: no containers run, but scheduling, quota and rollout are real."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.conftest import ROOT
from cluster.gpu_nodes import NODES, VOLUME, gpu_nodes, quota, volume
from cluster.kube import Kube
from tenacity import RetryError

from delivery.rendering import render

APPLIED = ("Namespace", "ServiceAccount", "Service", "Deployment", "PodDisruptionBudget", "PersistentVolumeClaim", "ConfigMap")
SURGE = {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}}}


@pytest.fixture(scope="module")
def prod(image: str, kustomize: Path) -> Iterator[Kube]:
    """Three replicas on three GPUs, under a quota of three GPUs. Without the Job, which would run on a real node."""
    kube = Kube("llm-api-prod")
    manifests = [manifest for manifest in render(ROOT, "overlays/prod", kustomize).objects if manifest["kind"] in APPLIED]
    for manifest in manifests:
        key = "name" if manifest["kind"] == "Namespace" else "namespace"
        manifest["metadata"][key] = kube.namespace
    kube.apply([*gpu_nodes(), volume()])
    kube.apply(manifests)
    kube.apply([quota()])
    kube.run("scale", "deployment/llm-api", "--replicas=3")
    kube.rolled_out(seconds=120)
    yield kube
    kube.drop_namespace()  # before its nodes, which have to terminate the pods
    kube.run("delete", "node", *NODES)
    kube.run("delete", "persistentvolume", VOLUME)


def nodes_of(kube: Kube) -> set[str]:
    return {pod["spec"].get("nodeName") for pod in kube.pods()}


@pytest.mark.timeout(300)
def test_replicas_are_spread_one_gpu_each(prod: Kube) -> None:
    assert nodes_of(prod) == set(NODES)


@pytest.mark.timeout(300)
def test_a_rollout_needs_no_spare_gpu(prod: Kube) -> None:
    before = {pod["metadata"]["name"] for pod in prod.pods()}
    prod.run("rollout", "restart", "deployment/llm-api")
    prod.rolled_out(seconds=180)
    assert nodes_of(prod) == set(NODES)
    assert not before & {pod["metadata"]["name"] for pod in prod.pods()}


@pytest.mark.timeout(300)
def test_a_rollout_that_surges_would_never_complete(prod: Kube) -> None:
    prod.run("delete", "resourcequota", "gpus")  # it would refuse the pod before scheduling
    prod.patch("deployment/llm-api", SURGE)
    prod.run("rollout", "restart", "deployment/llm-api")
    with pytest.raises((AssertionError, RetryError)):
        prod.rolled_out(seconds=30)
    assert [pod["status"]["phase"] for pod in prod.pods()].count("Pending") == 1
