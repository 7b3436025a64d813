"""accepted-settings: the service accepts its settings and flags, and starts with their values."""

from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches

from delivery.policy.finding import Problem
from delivery.policy.objects import SERVICE, environment, main_container, service_commands
from delivery.policy.overlay import Overlay
from delivery.policy.secret_references import SECRET_NAME
from delivery.rendering import Object

LIBRARIES = frozenset({"HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION"})
PORTS = {"http": "PORT", "management": "MANAGEMENT_PORT"}


def settings(overlay: Overlay) -> Iterator[Problem]:
    """Compares with the service of this tree, or with the pinned image: delivery/checks/image_settings.py."""
    ours = {found["image"] for _, found, _ in overlay.containers() if found["name"] == SERVICE}
    for workload, container, path in overlay.containers():
        yield from _duplicates(overlay, workload, container, path)
        if container["image"] in ours:
            yield from _names(overlay, workload, container, path)
            yield from _calls(overlay, workload, container, path)
    service = overlay.named("Deployment", SERVICE)
    if service:
        container = main_container(service)
        yield from _entry_point(overlay, service, container)
        yield from _values(overlay, service, container)
        yield from _ports(overlay, service, container)


def _duplicates(overlay: Overlay, workload: Object, container: Object, path: str) -> Iterator[Problem]:
    counts = Counter(variable["name"] for variable in container.get("env", []))
    for name in (name for name, count in counts.items() if count > 1):
        because = "the last of two entries wins, and server-side apply rejects duplicates"
        yield overlay.problem(workload, f"{path}.env {name}", f"{counts[name]} entries", because, "one entry", key=name)


def _names(overlay: Overlay, workload: Object, container: Object, path: str) -> Iterator[Problem]:
    accepted = {*overlay.facts.settings, *LIBRARIES}
    known = accepted.union(*(overlay.facts.commands.get(command, ()) for command, _ in service_commands(container)))
    for name in environment(container):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            fix = f"did you mean {near[0]}?" if near else "`llm-api settings` lists all settings"
            yield overlay.problem(workload, f"{path}.env {name}", name, "the service has no such setting and would ignore it", fix)


def _calls(overlay: Overlay, workload: Object, container: Object, path: str) -> Iterator[Problem]:
    for command, given in service_commands(container):
        flags = overlay.facts.commands.get(command)
        if flags is None:
            fix = f"one of {', '.join(sorted(overlay.facts.commands))}"
            yield overlay.problem(workload, f"{path}.args", f"llm-api {command}", "the service has no such command", fix)
            continue
        for flag in sorted(given - flags):
            near = get_close_matches(flag, flags, n=1)
            fix = f"did you mean {near[0]}?" if near else f"`llm-api {command} --help` lists all flags"
            yield overlay.problem(workload, f"{path}.args", f"llm-api {command} {flag}", "the service has no such flag", fix)


def _entry_point(overlay: Overlay, service: Object, container: Object) -> Iterator[Problem]:
    for key, wanted in (("command", None), ("args", ["serve"])):
        if container.get(key) != wanted:
            because = "every setting is an env entry, and only the image's entry point receives SIGTERM"
            yield overlay.problem(service, f"containers[{SERVICE}].{key}", container.get(key), because, "args: [serve], and no command")


def _values(overlay: Overlay, service: Object, container: Object) -> Iterator[Problem]:
    given = environment(container)
    for name, value in given.items():
        if value is None and name in overlay.facts.settings and not SECRET_NAME.search(name):
            because = "its value is not in the tree, so the budgets that depend on it cannot be checked"
            yield overlay.problem(service, f"env {name}", "valueFrom", because, "value: in the Deployment", key=name)
    for name, why in overlay.reading.refused.items():
        if name not in given or given[name] is not None:
            because = f"the pod would exit at startup: {why}"
            yield overlay.problem(
                service, f"env {name}", given.get(name), because, "`llm-api settings` lists the accepted values", key=name
            )
    if overlay.setting("ALLOW_ANONYMOUS") and overlay.of("Ingress", "HTTPRoute"):
        because = "the proxy admits any client, and the service requires no API key"
        yield overlay.problem(
            service, "env ALLOW_ANONYMOUS", "true", because, "remove it, and add components/api-keys", key="ALLOW_ANONYMOUS"
        )


def _ports(overlay: Overlay, service: Object, container: Object) -> Iterator[Problem]:
    declared = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
    for port, name in PORTS.items():
        if overlay.setting(name) != declared.get(port):
            because = f"containerPort {port} is {declared.get(port)}: probes, Service and policies use that port"
            yield overlay.problem(service, f"env {name}", overlay.setting(name), because, f'"{declared.get(port)}"', key=name)
