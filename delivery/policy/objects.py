"""Reads fields of rendered Kubernetes objects."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from delivery.rendering import Object

SERVICE = "llm-api"
WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")
SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
CALL = re.compile(r"(?<![\w/-])llm-api +([a-z][a-z-]*)([^\n;&|]*)")
PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
Labels = Mapping[str, str]
Expression = Mapping[str, Any]
OPERATORS: dict[str, Callable[[Expression, Labels], bool]] = {
    "In": lambda wanted, labels: labels.get(wanted["key"]) in wanted["values"],
    "NotIn": lambda wanted, labels: labels.get(wanted["key"]) not in wanted["values"],
    "Exists": lambda wanted, labels: wanted["key"] in labels,
    "DoesNotExist": lambda wanted, labels: wanted["key"] not in labels,
}


def at(found: Any, *path: str) -> Any:
    """The value at a path of keys, or None."""
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found


def leaves(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every key and every value that is no dict or list, each with its path: `spec.template.spec.containers[llm-api].image`."""
    if isinstance(found, dict):
        for key, value in found.items():
            yield from leaves(key, f"{path}.{key}".strip("."))
            yield from leaves(value, f"{path}.{key}".strip("."))
    elif isinstance(found, list):
        for number, entry in enumerate(found):
            named = entry.get("name", number) if isinstance(entry, dict) else number
            yield from leaves(entry, f"{path}[{named}]")
    else:
        yield path, found


def main_container(workload: Object) -> Object:
    """The container named like its workload, else the first one: a sidecar may come before it."""
    containers: list[Object] = workload["spec"]["template"]["spec"]["containers"]
    return next((found for found in containers if found["name"] == workload["metadata"]["name"]), containers[0])


def environment(container: Object) -> dict[str, str | None]:
    """The container's variables: values by name, None for a reference (valueFrom)."""
    return {variable["name"]: None if "valueFrom" in variable else str(variable.get("value", "")) for variable in container.get("env", [])}


def service_commands(container: Object) -> Iterator[tuple[str, set[str]]]:
    """Each llm-api command that a container runs, directly or in a script, with its flags."""
    text = "\n".join(container["command"]) + "\n" if container.get("command") else "llm-api "
    text += " ".join(container.get("args", []))
    for called in CALL.finditer(text):
        yield called[1], set(re.findall(r"(?<!\S)--[a-z][a-z-]*", called[2]))


def pod_labels(workload: Object) -> dict[str, str]:
    return at(workload, "spec", "template", "metadata", "labels") or {}


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """Whether a label selector matches, by the rules of Kubernetes: an empty selector matches every pod."""
    plain = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return plain.items() <= labels.items() and all(OPERATORS[wanted["operator"]](wanted, labels) for wanted in expressions)


def seconds(text: object) -> float | None:
    """Parses a duration of Kubernetes or NGINX: `90`, `60s`, `1h30m`. None for anything else."""
    written = str(text)
    if not re.fullmatch(rf"(?:{PART.pattern})+", written):
        return None
    return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(written))
