"""Prod beside dev in one cluster: in another namespace, with GPU nodes and Jobs that kwok simulates.

cert-manager, External Secrets, KEDA and the ingress controller do not run: `wait` writes the status that they would report.
"""

import json
from pathlib import Path

from cluster.gpu_nodes import NODES, VOLUME, gpu_nodes, volume
from cluster.kube import Kube, Manifest
from rollout.argocd import NAMESPACE, Application
from rollout.repository import Repository

from delivery.rendering import render

PROD = "llm-api-prod"
FILE = "overlays/prod/kustomization.yaml"
SIMULATED_JOBS = f"""\
patches:
  - target: {{kind: Job}}
    patch: |-
      - {{op: add, path: /spec/template/spec/nodeName, value: {NODES[0]}}}
"""
READY = {"conditions": [{"type": "Ready", "status": "True", "reason": "StoodIn", "message": ""}]}
REPORTS = {
    "certificates.cert-manager.io": READY,
    "externalsecrets.external-secrets.io": READY,
    "scaledobjects.keda.sh": READY,
    "ingresses.networking.k8s.io": {"loadBalancer": {"ingress": [{"hostname": "llm.example.com"}]}},
}


def edit_prod(repository: Repository) -> None:
    """Changes the files of the clone that must differ in this cluster. The other files are as committed."""
    repository.edit("clusters/prod/argocd/source.yaml", r"repository: .*", f"repository: {repository.url}")
    repository.edit(FILE, r"^namespace: llm-api$", f"namespace: {PROD}")
    repository.edit(FILE, r"^patches:\n", SIMULATED_JOBS)


class Production:
    def __init__(self, repository: Repository, kustomize: Path) -> None:
        self.kube, self.application = Kube(PROD), Application(PROD)
        self._objects = _sync_objects(repository, kustomize)

    def start(self) -> None:
        """Creates prod's nodes, and the Application that follows release tags."""
        self.kube.make_namespace()
        self.kube.apply([*gpu_nodes(), volume()])
        Kube(NAMESPACE).apply(self._objects)

    def wait(self, commit: str, seconds: float) -> None:
        self.application.wait(commit, seconds, meanwhile=self._report)

    def _report(self) -> None:
        for kind, status in REPORTS.items():
            for name in self.kube.run("get", kind, "-o", "name", check=False).stdout.split():
                self.kube.run("patch", name, "--subresource=status", "--type=merge", "--patch", json.dumps({"status": status}))

    @property
    def image(self) -> str:
        return str(self.kube.get("deployment", "llm-api")["spec"]["template"]["spec"]["containers"][0]["image"])

    def clean_up(self) -> None:
        self.application.forget()
        self.kube.drop_namespace()
        self.kube.run("delete", "node", *NODES, "--ignore-not-found")
        self.kube.run("delete", "persistentvolume", VOLUME, "--ignore-not-found", "--wait=false")


def _sync_objects(repository: Repository, kustomize: Path) -> list[Manifest]:
    """The Application of clusters/prod and its project, renamed for the other namespace: dev's project has the same name."""
    found = {
        (item["kind"], item["metadata"]["name"]): item for item in render(repository.folder, "clusters/prod/argocd", kustomize).objects
    }
    project, application = found["AppProject", "llm-api"], found["Application", PROD]
    project["metadata"]["name"] = application["spec"]["project"] = PROD
    project["spec"]["destinations"][0]["namespace"] = application["spec"]["destination"]["namespace"] = PROD
    project["spec"]["clusterResourceWhitelist"][0]["name"] = PROD
    return [project, application]
