"""plain-configmaps: settings are env entries, and a mounted ConfigMap has a stable name."""

import re
from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import at
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

HASHED = re.compile(r".+-[a-z0-9]{10}$")


def configmaps(overlay: Overlay) -> Iterator[Problem]:
    because = "a controller may prune it while old pods still need it, and such a pod could not restart"
    for workload, container, path in overlay.containers():
        if container.get("envFrom"):
            yield overlay.problem(
                workload, f"{path}.envFrom", container["envFrom"], "every setting must be visible in the Deployment", "env entries"
            )
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
