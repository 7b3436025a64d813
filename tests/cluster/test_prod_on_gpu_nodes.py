"""overlays/prod on nodes that kwok plays: no container runs there, scheduling, quota and rollout are real."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.conftest import ROOT
from cluster.kube import Kube, Manifest
from tenacity import RetryError

from delivery.kustomize import render

NODES = ("gpu-a", "gpu-b", "gpu-c")  # a GPU each, a zone each
GPU = "nvidia.com/gpu"
APPLIED = ("Namespace", "ServiceAccount", "Service", "Deployment", "PodDisruptionBudget", "PersistentVolumeClaim", "ConfigMap")
SURGE = {"spec": {"strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}}}


@pytest.fixture(scope="module")
def prod(image: str, kustomize: Path) -> Iterator[Kube]:
    """Three replicas on as many GPUs, all taken, under a quota of three. Without the Job, which would run on a real node."""
    kube = Kube("llm-api-prod")
    manifests = [manifest for manifest in render(ROOT, "overlays/prod", kustomize).objects if manifest["kind"] in APPLIED]
    for manifest in manifests:
        key = "name" if manifest["kind"] == "Namespace" else "namespace"
        manifest["metadata"][key] = kube.namespace
    kube.apply([*map(fake_node, NODES), volume()])
    kube.apply(manifests)
    kube.apply([quota()])
    kube.run("scale", "deployment/llm-api", "--replicas=3")
    kube.rolled_out(seconds=120)
    yield kube
    kube.run("delete", "namespace", kube.namespace, "--wait=false")
    kube.run("delete", "node", *NODES)
    kube.run("delete", "persistentvolume", "models")


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
def test_a_rollout_that_surges_would_wait_for_ever(prod: Kube) -> None:
    prod.run("delete", "resourcequota", "gpus")  # it would refuse the pod even earlier
    prod.patch("deployment/llm-api", SURGE)
    prod.run("rollout", "restart", "deployment/llm-api")
    with pytest.raises((AssertionError, RetryError)):
        prod.rolled_out(seconds=30)
    assert [pod["status"]["phase"] for pod in prod.pods()].count("Pending") == 1


def fake_node(name: str) -> Manifest:
    room = {"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "200Gi", GPU: "1"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": name, "nvidia.com/gpu.present": "true"},
        },
        "spec": {"taints": [{"key": GPU, "value": "present", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }


def volume() -> Manifest:
    """What standard-rwx would provide."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "models"},
        "spec": {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "standard-rwx",
            "hostPath": {"path": "/mnt/models"},
        },
    }


def quota() -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "gpus"},
        "spec": {"hard": {f"requests.{GPU}": "3"}},
    }
