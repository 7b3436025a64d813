"""What the invariants compare an overlay with, read from the rest of the repository."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_group

from delivery.kustomize import render
from delivery.policy.duration import seconds
from delivery.policy.overlay import Facts, at
from llm_api.cli.commands import application
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

SUFFIXES = {"counter": ("_total", "_created"), "histogram": ("_bucket", "_sum", "_count", "_created"), "summary": ("", "_sum", "_count")}


def read_facts(root: Path, kustomize: Path) -> Facts:
    return Facts(
        settings=accepted_settings(),
        commands=accepted_commands(),
        metrics=frozenset(emitted_metrics()),
        selectors=yaml.safe_load((root / "delivery/policy/selectors.yaml").read_text(encoding="utf-8")),
        sync_timeouts=dict(_sync_timeouts(root, kustomize)),
        proxy_keep_alive=dict(_proxy_keep_alive(root)),
    )


def accepted_settings() -> dict[str, Any]:
    fields = Settings.model_fields.items()
    return {name.upper(): field.get_default(call_default_factory=True, validated_data={}) for name, field in fields}


def accepted_commands() -> dict[str, frozenset[str]]:
    """The flags of each command, and the variables that stand for one of them."""
    return {name: frozenset(_accepted(command.params)) | {"--help"} for name, command in get_group(application()).commands.items()}


def _accepted(parameters: Iterable[Any]) -> Iterator[str]:
    for parameter in parameters:
        yield from (option for option in parameter.opts if option.startswith("--"))
        if isinstance(parameter.envvar, str):
            yield parameter.envvar


def emitted_metrics() -> Iterator[str]:
    """Sample names, those of labels that were never set included."""
    metrics = Metrics()
    metrics.watch_keys(int, bool)  # registered only where keys are asked for
    for family in metrics.registry.collect():
        for suffix in SUFFIXES.get(family.type, ("",)):
            yield family.name + suffix


def _sync_timeouts(root: Path, kustomize: Path) -> Iterator[tuple[str, tuple[str, float]]]:
    for folder in sorted(root.glob("clusters/*/flux")):
        for found in render(root, str(folder.relative_to(root)), kustomize).objects:
            path = str(at(found, "spec", "path")).removeprefix("./")
            if found["kind"] == "Kustomization" and path.startswith("overlays/"):
                yield path.removeprefix("overlays/"), (f"{folder.relative_to(root)}/sync.yaml", seconds(at(found, "spec", "timeout")) or 0)


def _proxy_keep_alive(root: Path) -> Iterator[tuple[str, float]]:
    file = root / "platform/ingress-nginx/values.yaml"
    if file.exists():
        values = yaml.safe_load(file.read_text(encoding="utf-8"))
        given = at(values, "controller", "config", "upstream-keepalive-timeout")
        yield str(file.relative_to(root)), seconds(given) or 60  # NGINX's own default
