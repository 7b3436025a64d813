"""The cluster of KUBECONFIG, with the committed overlays/dev and the image of this commit."""

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
    """IMAGE: a name by digest that the cluster's nodes can pull."""
    for name in ("KUBECONFIG", "IMAGE"):
        if not os.environ.get(name):
            pytest.fail(f"{name} is not set: `make e2e` needs a cluster and an image that it can pull (docs/manifests.md)")
    assert shutil.which("kubectl"), "kubectl is not on PATH"
    return os.environ["IMAGE"]


@pytest.fixture(scope="session")
def kustomize() -> Path:
    return built() / "kustomize"


@pytest.fixture(scope="session")
def dev_manifests(image: str, kustomize: Path) -> list[Manifest]:
    """The committed overlays/dev; only the image's registry and digest are replaced."""
    manifests = render(ROOT, "overlays/dev", kustomize).objects
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "Job"}:
            manifest["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return manifests


@pytest.fixture(scope="session")
def kube(dev_manifests: list[Manifest]) -> Iterator[Kube]:
    """The namespace in which overlays/dev runs, with a NodePort for traffic from outside."""
    kube = Kube("llm-api")
    kube.make_namespace()
    kube.apply(dev_manifests)
    kube.apply(from_outside())
    kube.rolled_out(seconds=600)
    yield kube
    if not os.environ.get("KEEP"):
        kube.drop_namespace()


@pytest.fixture
def fresh(kube: Kube, dev_manifests: list[Manifest]) -> Iterator[Kube]:
    """For a test that changes the namespace: applies overlays/dev again afterwards."""
    yield kube
    kube.apply(dev_manifests)
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
    """A NodePort, and a NetworkPolicy that allows it: overlays/dev allows no traffic from outside, and kind enforces policies."""
    return [_node_port(), _allow_http()]


def _node_port() -> Manifest:
    ports = [{"name": "http", "port": 80, "targetPort": "http", "nodePort": NODE_PORT}]
    spec = {"type": "NodePort", "selector": {"app.kubernetes.io/name": "llm-api"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "from-outside"}, "spec": spec}


def _allow_http() -> Manifest:
    """Allows only the port of the API."""
    service = {"matchLabels": {"app.kubernetes.io/name": "llm-api"}}
    spec = {"podSelector": service, "policyTypes": ["Ingress"], "ingress": [{"ports": [{"port": "http"}]}]}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "from-outside"}, "spec": spec}
