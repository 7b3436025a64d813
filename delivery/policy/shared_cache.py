"""shared-cache: a model cache that several pods share works on all nodes, and data is never pruned."""

from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import at
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

KEEP = {"argocd.argoproj.io/sync-options": {"Prune=false", "Delete=false"}, "kustomize.toolkit.fluxcd.io/prune": {"disabled"}}


def storage(overlay: Overlay) -> Iterator[Problem]:
    for deployment, volume, name in _claims(overlay, "Deployment"):
        claim = overlay.named("PersistentVolumeClaim", name)
        where = f"spec.template.spec.volumes[{volume['name']}].persistentVolumeClaim"
        if claim is None:
            yield overlay.problem(
                deployment,
                f"{where}.claimName",
                name,
                "this claim does not exist, so the pods never start",
                "add the PersistentVolumeClaim",
            )
        elif claim["spec"]["accessModes"] != ["ReadWriteMany"]:
            modes, pods = claim["spec"]["accessModes"], overlay.maximum(deployment)
            because = f"up to {pods} pods of Deployment/{deployment['metadata']['name']} mount it, on several nodes"
            yield overlay.problem(claim, "spec.accessModes", modes, because, "[ReadWriteMany], or a volume per pod")
        if at(volume, "persistentVolumeClaim", "readOnly") is not True:
            because = "a serving pod only reads the shared cache; the Job writes it"
            yield overlay.problem(deployment, f"{where}.readOnly", at(volume, "persistentVolumeClaim", "readOnly"), because, "true")
    mounted = {name for _, _, name in _claims(overlay, "Deployment")}
    for claim in overlay.of("PersistentVolumeClaim"):
        if claim["metadata"]["name"] not in mounted:
            because = "no Deployment mounts it: each pod would download the model itself, or find none"
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
            because = f"deleting it deletes data that no commit restores; missing: {', '.join(sorted(missing))}"
            yield overlay.problem(kept, f"metadata.annotations[{name}]", given, because, ",".join(sorted(wanted, reverse=True)))
