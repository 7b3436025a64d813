"""What the invariants compare an overlay with, read from the rest of the repository."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from typer.main import get_group

from delivery.kustomize import render
from delivery.policy.duration import seconds
from delivery.policy.overlay import Facts, Reading, Sync, at
from delivery.tags import tracked_major
from llm_api.cli.commands import application
from llm_api.server.listening import StartError, check_startable
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

SUFFIXES = {"counter": ("_total", "_created"), "histogram": ("_bucket", "_sum", "_count", "_created"), "summary": ("", "_sum", "_count")}


def read_facts(root: Path, kustomize: Path) -> Facts:
    return Facts(
        settings=accepted_settings(),
        read=read_settings,
        commands=accepted_commands(),
        metrics=frozenset(emitted_metrics()),
        selectors=yaml.safe_load((root / "delivery/policy/selectors.yaml").read_text(encoding="utf-8")),
        label_values={"reason": frozenset(_rejection_reasons())},
        syncs=_syncs(root, kustomize),
        ingress_controller=_values(root / "platform/ingress-nginx/values.yaml"),
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


def _rejection_reasons() -> Iterator[str]:
    """Every `metrics.rejected("reason")` of the service: a label's values stand nowhere else."""
    for file in Path(inspect.getfile(Settings)).parent.rglob("*.py"):
        yield from re.findall(r"""\.rejected\(["'](\w+)["']\)""", file.read_text(encoding="utf-8"))


class _Given(Settings):
    """From what is handed over alone, not from the environment of this process."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_settings(environment: Mapping[str, str]) -> Reading:
    given = {name.lower(): value for name, value in environment.items() if value}  # an empty one counts as not given
    try:
        read = _Given(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        refused = {str(problem["loc"][0]).upper(): problem["msg"] for problem in error.errors()}
        reading = read_settings({name: value for name, value in environment.items() if name not in refused})
        return Reading(reading.values, refused | reading.refused)
    values = {name.upper(): getattr(read, name) for name in Settings.model_fields}
    try:
        check_startable(read)
    except StartError as error:
        return Reading(values, {str(error).split()[0]: str(error)})  # it begins with the setting
    return Reading(values, {})


def _syncs(root: Path, kustomize: Path) -> dict[str, tuple[Sync, ...]]:
    found: dict[str, tuple[Sync, ...]] = {}
    for cluster in sorted(root.glob("clusters/*")):
        for overlay, sync in (*_flux(root, cluster / "flux", kustomize), *_argocd(root, cluster / "argocd")):
            found[overlay] = (*found.get(overlay, ()), sync)
    return found


def _flux(root: Path, folder: Path, kustomize: Path) -> Iterator[tuple[str, Sync]]:
    if not folder.exists():
        return
    objects = render(root, str(folder.relative_to(root)), kustomize).objects
    releases = any(at(found, "spec", "ref", "semver") or at(found, "spec", "ref", "tag") for found in objects)
    for found in objects:
        if found["kind"] == "Kustomization" and (overlay := _overlay(at(found, "spec", "path"))):
            file = f"{folder.relative_to(root)}/sync.yaml"
            yield overlay, Sync(file, seconds(at(found, "spec", "timeout")) or 0, releases)


def _argocd(root: Path, folder: Path) -> Iterator[tuple[str, Sync]]:
    """From its files: one value of source.yaml is the revision of all, put there by kustomize."""
    if not (folder / "source.yaml").exists():
        return
    revision = str(at(_values(folder / "source.yaml"), "data", "revision"))
    for found in yaml.safe_load_all((folder / "application.yaml").read_text(encoding="utf-8")):
        for source in at(found, "spec", "sources") or []:
            if overlay := _overlay(source.get("path")):
                yield overlay, Sync(f"{folder.relative_to(root)}/application.yaml", None, tracked_major(revision) is not None)


def _overlay(path: str | None) -> str | None:
    """`./overlays/prod/` and `overlays/prod` are the same."""
    parts = [part for part in str(path).split("/") if part not in {"", "."}]
    return parts[1] if len(parts) == 2 and parts[0] == "overlays" else None


def _values(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.exists() else {}
