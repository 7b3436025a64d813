"""Three GPU nodes simulated by kwok, and a volume and a quota for overlays/prod."""

from cluster.kube import Manifest

NODES = ("gpu-a", "gpu-b", "gpu-c")  # a GPU each, a zone each
GPU = "nvidia.com/gpu"
VOLUME = "models"


def gpu_nodes() -> list[Manifest]:
    return [_node(name) for name in NODES]


def _node(name: str) -> Manifest:
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
    """A volume as the storage class standard-rwx would provision it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
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
