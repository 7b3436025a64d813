"""The cluster that KUBECONFIG names, and the committed overlays/dev on it with the image of this commit."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from cluster.kube import Kube, Manifest

from delivery.go_tools import built
from delivery.rendering import render

ROOT = Path(__file__).parents[2]
NODE_PORT = 30800


@pytest.fixture(scope="session")
def image() -> str:
    """IMAGE, by digest, where the cluster's nodes can pull it."""
    for name in ("KUBECONFIG", "IMAGE"):
        if not os.environ.get(name):
            pytest.fail(f"{name} is not set: `make e2e` needs a cluster and an image that it can pull (docs/manifests.md)")
    assert shutil.which("kubectl"), "kubectl is not on PATH"
    return os.environ["IMAGE"]


@pytest.fixture(scope="session")
def kustomize() -> Path:
    return built() / "kustomize"


@pytest.fixture(scope="session")
def dev(image: str, kustomize: Path) -> list[Manifest]:
    """overlays/dev as it is committed; only the image's registry and digest are replaced."""
    manifests = render(ROOT, "overlays/dev", kustomize).objects
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "Job"}:
            manifest["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return manifests


@pytest.fixture(scope="session")
def kube(dev: list[Manifest]) -> Iterator[Kube]:
    """The namespace with overlays/dev running in it, and a NodePort beside its Service for traffic from outside."""
    kube = Kube("llm-api")
    kube.make_namespace()
    kube.apply(dev)
    kube.apply(from_outside())
    kube.rolled_out(seconds=600)
    yield kube
    if not os.environ.get("KEEP"):
        kube.drop_namespace()


@pytest.fixture
def fresh(kube: Kube, dev: list[Manifest]) -> Iterator[Kube]:
    """overlays/dev as committed before and after a test that changes it."""
    yield kube
    kube.apply(dev)
    kube.rolled_out()


@pytest.fixture(scope="session")
def url(kube: Kube) -> str:
    address = f"http://127.0.0.1:{NODE_PORT}"
    kube.until(lambda: answers(address), 60)
    return address


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/v1/models", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def from_outside() -> list[Manifest]:
    """A port of the node and, where policies are enforced, as kind does, leave to use it: overlays/dev lets nobody from outside in."""
    return [_node_port(), _let_in()]


def _node_port() -> Manifest:
    ports = [{"name": "http", "port": 80, "targetPort": "http", "nodePort": NODE_PORT}]
    spec = {"type": "NodePort", "selector": {"app.kubernetes.io/name": "llm-api"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "from-outside"}, "spec": spec}


def _let_in() -> Manifest:
    """Only the port that it serves on."""
    service = {"matchLabels": {"app.kubernetes.io/name": "llm-api"}}
    spec = {"podSelector": service, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": "http"}]}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "from-outside"}, "spec": spec}
