"""restricted-pods, pods: every container of every pod template meets restricted Pod Security."""

from collections.abc import Iterator
from typing import Any

from delivery.policy.finding import Problem
from delivery.policy.objects import at
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

# The allowed values of each path; None means that the field is absent.
Rules = tuple[tuple[str, tuple[Any, ...]], ...]
POD: Rules = (
    ("automountServiceAccountToken", (False,)),
    ("securityContext.runAsNonRoot", (True,)),
    ("securityContext.seccompProfile.type", ("RuntimeDefault",)),
    ("hostNetwork", (None, False)),
    ("hostPID", (None, False)),
    ("hostIPC", (None, False)),
)
CONTAINER: Rules = (
    ("securityContext.allowPrivilegeEscalation", (False,)),
    ("securityContext.readOnlyRootFilesystem", (True,)),
    ("securityContext.capabilities.drop", (["ALL"],)),
    ("securityContext.capabilities.add", (None, [])),
    ("securityContext.privileged", (None, False)),
    ("securityContext.runAsNonRoot", (None, True)),
    ("securityContext.seccompProfile.type", (None, "RuntimeDefault")),
    ("securityContext.procMount", (None, "Default")),
)
VOLUMES = frozenset({"configMap", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"})
RESTRICTED = "restricted Pod Security, and writes only to the mounted volumes"
NAMESPACE_LABEL = "pod-security.kubernetes.io/enforce"


def restricted(overlay: Overlay) -> Iterator[Problem]:
    for workload, pod in overlay.templates():
        yield from _fields(overlay, workload, pod, "spec.template.spec", POD)
        for volume in pod.get("volumes", []):
            yield from _volume(overlay, workload, volume)
    for workload, container, path in overlay.containers():
        yield from _fields(overlay, workload, container, path, CONTAINER)
        for port in container.get("ports", []):
            if port.get("hostPort"):
                because = "it opens a port of the node and bypasses every NetworkPolicy"
                yield overlay.problem(workload, f"{path}.ports[{port.get('name')}].hostPort", port["hostPort"], because, "remove it")
    yield from _namespace(overlay)


def _fields(overlay: Overlay, workload: Object, found: Object, where: str, rules: Rules) -> Iterator[Problem]:
    for path, allowed in rules:
        value = at(found, *path.split("."))
        if not any(value is wanted or (value == wanted and not isinstance(wanted, bool)) for wanted in allowed):
            fix = f"{allowed[0]}" if allowed[0] is not None else "remove it"
            yield overlay.problem(workload, f"{where}.{path}", value, RESTRICTED, fix)
    if at(found, "securityContext", "runAsUser") == 0:
        yield overlay.problem(workload, f"{where}.securityContext.runAsUser", 0, RESTRICTED, "10001, the image's user")


def _volume(overlay: Overlay, workload: Object, volume: Object) -> Iterator[Problem]:
    where = f"spec.template.spec.volumes[{volume['name']}]"
    for kind in sorted(volume.keys() - VOLUMES - {"name"}):
        because = "pods must not mount files of a node or of an external share"
        yield overlay.problem(workload, f"{where}.{kind}", volume[kind], because, f"one of {', '.join(sorted(VOLUMES))}")
    for source in at(volume, "projected", "sources") or []:
        if "serviceAccountToken" in source:
            because = "no pod here uses the Kubernetes API"
            yield overlay.problem(workload, f"{where}.projected.sources.serviceAccountToken", source, because, "remove it")


def _namespace(overlay: Overlay) -> Iterator[Problem]:
    if overlay.named("Namespace", overlay.namespace) is None:
        because = "without its label the API server admits pods that are not restricted"
        yield overlay.missing(f"Namespace/{overlay.namespace}", because, "base/namespace.yaml among base's resources")
    for namespace in overlay.of("Namespace"):
        level = at(namespace, "metadata", "labels", NAMESPACE_LABEL)
        if level != "restricted":
            because = "otherwise the API server admits pods that are not restricted"
            yield overlay.problem(namespace, f"metadata.labels[{NAMESPACE_LABEL}]", level, because, "restricted")
