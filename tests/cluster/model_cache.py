"""overlays/dev with components/model-cache on a volume of the node, and a model hub in the cluster."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from cluster.conftest import ROOT
from cluster.kube import Manifest
from weights.hub_server import COMMIT

from delivery.rendering import render

NAMESPACE = "llm-api-cache"
REPO = "org/smol"
MODEL = f"hf://{REPO}@{COMMIT}"
CLASS = "of-the-node"
FOLDER = "/var/tmp/llm-api-e2e"  # noqa: S108 -- on the node
TESTS = ROOT / "apps/llm-api/tests"
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def overlay(kustomize: Path, image: str) -> tuple[list[Manifest], Manifest]:
    """The rendered overlay of a team, without its Job; and the Job, with two pods that fit on a small node."""
    folder = ROOT / "build/e2e-model-cache"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"model": MODEL, "modelName": "of-the-team", "cacheClass": CLASS, "cacheSize": "2Gi"}
    local = {"config.kubernetes.io/local-config": "true"}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "environment", "annotations": local}, "data": environment}
    (folder / "environment.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    kustomization = {
        "namespace": NAMESPACE,
        "resources": ["../../overlays/dev", "environment.yaml"],
        "components": ["../../components/model-cache"],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    manifests = render(ROOT, str(folder.relative_to(ROOT)), kustomize).objects
    for container in _containers(manifests):
        container["image"] = image
        for amounts in container["resources"].values():
            amounts.pop("ephemeral-storage", None)  # the pod would not fit on a node that reports no ephemeral storage
    [namespace] = [manifest for manifest in manifests if manifest["kind"] == "Namespace"]
    namespace["metadata"]["name"] = NAMESPACE
    manifests = [manifest for manifest in manifests if manifest["metadata"]["name"] != "llm-api-smoke"]
    [job] = [manifest for manifest in manifests if manifest["kind"] == "Job"]
    job["spec"] |= {"parallelism": 2, "completions": 2}
    [pull] = job["spec"]["template"]["spec"]["containers"]
    pull["resources"]["requests"] |= {"cpu": "100m", "memory": "1Gi", "ephemeral-storage": "0"}
    pull["env"].append({"name": "HF_ENDPOINT", "value": "http://hub"})
    return [manifest for manifest in manifests if manifest is not job], job


def _containers(manifests: list[Manifest]) -> Iterator[Manifest]:
    for manifest in manifests:
        pod = manifest["spec"].get("template", {}).get("spec", {}) if "spec" in manifest else {}
        yield from (*pod.get("initContainers", []), *pod.get("containers", []))


def hub(image: str) -> list[Manifest]:
    files = {"hub_in_a_pod.py": ROOT / "tests/cluster", "file_server.py": TESTS / "weights", "hub_server.py": TESTS / "weights"}
    places = {"hub_in_a_pod.py": "hub_in_a_pod.py", "file_server.py": "weights/file_server.py", "hub_server.py": "weights/hub_server.py"}
    data = {name: (folder / name).read_text(encoding="utf-8") for name, folder in files.items()}
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "hub",
                "image": image,
                "command": ["python", "/hub/hub_in_a_pod.py", REPO, "/opt/models/SmolLM2-135M-Instruct"],
                "env": [{"name": "PYTHONPATH", "value": "/hub"}],
                "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
                "securityContext": RESTRICTED,
                "volumeMounts": [{"name": "hub", "mountPath": "/hub"}],
            }
        ],
        "volumes": [{"name": "hub", "configMap": {"name": "hub", "items": [{"key": key, "path": path} for key, path in places.items()]}}],
    }
    labels = {"app.kubernetes.io/name": "hub"}
    deployment = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    return [
        _named("v1", "ConfigMap", "hub", data=data),
        _named("v1", "Service", "hub", spec={"selector": labels, "ports": [{"port": 80, "targetPort": 8080}]}),
        _named("apps/v1", "Deployment", "hub", spec=deployment),
        _named("networking.k8s.io/v1", "NetworkPolicy", "within", spec=_within()),
    ]


def _within() -> Manifest:
    """If policies are enforced: pods of this namespace may only talk to each other."""
    anybody_here: list[Manifest] = [{"podSelector": {}}]
    return {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{"from": anybody_here}], "egress": [{"to": anybody_here}]}


def volume(node: str) -> Manifest:
    """A folder of one node, instead of a shared file system."""
    on_it = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    spec = {
        "capacity": {"storage": "2Gi"},
        "accessModes": ["ReadWriteMany"],
        "storageClassName": CLASS,
        "hostPath": {"path": FOLDER},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_it]}]}},
    }
    return _named("v1", "PersistentVolume", "llm-api-cache", spec=spec)


def keeper(image: str, node: str, namespace: str) -> list[Manifest]:
    """A pod with root access to the node's folder: makes it writable for user 10001, damages files, and empties it in the end."""
    container = {
        "name": "keeper",
        "image": image,
        "command": ["sh", "-c", "chmod 777 /models && exec sleep 3600"],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "models", "mountPath": "/models"}],
    }
    volume = {"name": "models", "hostPath": {"path": FOLDER, "type": "DirectoryOrCreate"}}
    may = {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, **may}},
        _named("v1", "Pod", "keeper", spec={"nodeName": node, "containers": [container], "volumes": [volume]}),
    ]


def _named(version: str, kind: str, name: str, **fields: Any) -> Manifest:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}
