"""The cluster that the suites run on, and the image that they run: the shared cluster's, or those that the environment names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

HOW = """no cluster for `make e2e` and `make e2e-delivery`. Name one:
  KUBECONFIG  a cluster with Argo CD in the namespace argocd, which the suites change; its node's port 30800 is 127.0.0.1:30800
  PUSH        a registry/repository to push the image to, from which the cluster's nodes pull; or
  IMAGE       the image of this commit, by digest, as the nodes pull it
`KEEP=1 make kind` creates a registry and a cluster without Argo CD, which you install:
KUBECONFIG=build/kind.kubeconfig PUSH=127.0.0.1:5001/llm-api"""

IMAGE_OF_THE_SHARED_CLUSTER = {
    "PUSH": "127.0.0.1:15000/llm-api",
    "BASE_IMAGE": "localhost/base:bookworm",
    "BUILDER": "buildah",
    "STORAGE_DRIVER": "overlay",
}


class ClusterMissing(Exception):
    """There is no cluster to run on. The message lists the variables that name one."""


class Cluster(Protocol):
    """`build`, `start` and `stop` are shell commands; empty: nothing to do. `start` writes its variables to the file `variables`."""

    folder: Path | None
    """The files that define the cluster; None: unknown."""
    build: str
    stop: str

    def start(self, variables: Path) -> str: ...

    def environment(self, variables: Path) -> dict[str, str]:
        """Variables for `make image` and the suites, once it has started."""


def find_cluster(root: Path, environment: Mapping[str, str]) -> Cluster:
    """Raises ClusterMissing."""
    shared = root.parent / "shared" / "cluster"
    if shared.is_dir():
        return SharedCluster(shared)
    if environment.get("KUBECONFIG") and (environment.get("IMAGE") or environment.get("PUSH")):
        return NamedCluster()
    raise ClusterMissing(HOW)


class SharedCluster:
    """Scripts beside the clone that start an empty cluster with a registry."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder
        self.build = f"'{folder}/build' && '{folder}/base-image'"
        self.stop = f"'{folder}/down'"

    def start(self, variables: Path) -> str:
        return f"exported=$('{self.folder}/up') && eval \"$exported\" && env --null >'{variables}'"

    def environment(self, variables: Path) -> dict[str, str]:
        entries = (entry.partition("=") for entry in variables.read_text(encoding="utf-8").split("\0") if entry)
        return {name: value for name, _, value in entries if name != "IMAGE"} | IMAGE_OF_THE_SHARED_CLUSTER


class NamedCluster:
    """The cluster of KUBECONFIG, which keeps running afterwards."""

    folder: Path | None = None
    build = ""
    stop = ""

    def start(self, variables: Path) -> str:
        return ""

    def environment(self, variables: Path) -> dict[str, str]:
        return {}
