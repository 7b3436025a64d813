"""Invariants 12 and 14: what is mounted stays, and what holds data is never pruned."""

import re
from collections.abc import Iterator

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import Overlay, at

HASHED = re.compile(r".+-[a-z0-9]{10}$")
KEEP = {"argocd.argoproj.io/sync-options": {"Prune=false", "Delete=false"}, "kustomize.toolkit.fluxcd.io/prune": {"disabled"}}


def configuration(overlay: Overlay) -> Iterator[Problem]:
    because = "a controller may prune it before the old pods are gone, and a pod that restarts then never comes back"
    for workload, container, path in overlay.containers():
        if container.get("envFrom"):
            yield overlay.problem(workload, f"{path}.envFrom", container["envFrom"], "a reader must see every setting here", "env entries")
        for variable in container.get("env", []):
            if at(variable, "valueFrom", "configMapKeyRef"):
                where = f"{path}.env {variable['name']}"
                yield overlay.problem(workload, where, variable["valueFrom"], because, "value: in the Deployment")
    for workload, pod in overlay.templates():
        for volume in pod.get("volumes", []):
            for field, name in _config_maps(volume):
                if HASHED.fullmatch(name):
                    where = f"spec.template.spec.volumes[{volume['name']}].{field}.name"
                    yield overlay.problem(workload, where, name, because, "disableNameSuffixHash: true")


def _config_maps(volume: Object) -> Iterator[tuple[str, str]]:
    sources = [("configMap", volume), *(("projected.sources.configMap", source) for source in at(volume, "projected", "sources") or [])]
    for field, source in sources:
        name = at(source, "configMap", "name")
        if name:
            yield field, str(name)


def storage(overlay: Overlay) -> Iterator[Problem]:
    for deployment, volume, name in _claims(overlay, "Deployment"):
        claim = overlay.named("PersistentVolumeClaim", name)
        where = f"spec.template.spec.volumes[{volume['name']}].persistentVolumeClaim"
        if claim is None:
            yield overlay.problem(deployment, f"{where}.claimName", name, "the tree has no such claim: its pods wait for ever", "its claim")
        elif claim["spec"]["accessModes"] != ["ReadWriteMany"]:
            modes, pods = claim["spec"]["accessModes"], overlay.maximum(deployment)
            because = f"up to {pods} pods of Deployment/{deployment['metadata']['name']} mount it, on several nodes"
            yield overlay.problem(claim, "spec.accessModes", modes, because, "[ReadWriteMany], or a volume per pod")
        if at(volume, "persistentVolumeClaim", "readOnly") is not True:
            because = "a serving pod only reads the cache that all share; its Job writes it"
            yield overlay.problem(deployment, f"{where}.readOnly", at(volume, "persistentVolumeClaim", "readOnly"), because, "true")
    mounted = {name for _, _, name in _claims(overlay, "Deployment")}
    for claim in overlay.of("PersistentVolumeClaim"):
        if claim["metadata"]["name"] not in mounted:
            because = "no Deployment mounts it: each pod would fetch the model for itself, or find none"
            yield overlay.problem(
                claim, "metadata.name", claim["metadata"]["name"], because, "components/model-cache/deployment.yaml mounts it"
            )
    for kept in overlay.of("PersistentVolumeClaim", "Namespace"):
        yield from _pruned(overlay, kept)


def _claims(overlay: Overlay, kind: str) -> Iterator[tuple[Object, Object, str]]:
    for workload, pod in overlay.templates():
        for volume in pod.get("volumes", []):
            name = at(volume, "persistentVolumeClaim", "claimName")
            if name and workload["kind"] == kind:
                yield workload, volume, str(name)


def _pruned(overlay: Overlay, kept: Object) -> Iterator[Problem]:
    for name, wanted in KEEP.items():
        given = at(kept, "metadata", "annotations", name)
        missing = wanted - set(str(given).split(","))
        if missing:
            because = f"deleting it deletes data that no commit brings back; missing: {', '.join(sorted(missing))}"
            yield overlay.problem(kept, f"metadata.annotations[{name}]", given, because, ",".join(sorted(wanted, reverse=True)))
