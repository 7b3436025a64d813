"""The settings and commands that the service of this tree accepts, and the metrics that it emits. Imports the service."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource
from typer.main import get_group

from delivery.policy.facts import Reading
from llm_api.cli.commands import application
from llm_api.server.listening import StartError, check_startable
from llm_api.settings import Settings
from llm_api.telemetry.metrics import Metrics

SUFFIXES = {"counter": ("_total", "_created"), "histogram": ("_bucket", "_sum", "_count", "_created"), "summary": ("", "_sum", "_count")}


def accepted_settings() -> dict[str, Any]:
    """Every environment variable with its default."""
    fields = Settings.model_fields.items()
    return {name.upper(): field.get_default(call_default_factory=True, validated_data={}) for name, field in fields}


def accepted_commands() -> dict[str, frozenset[str]]:
    """The flags of each command, and the environment variables that can replace a flag."""
    return {name: frozenset(_accepted(command.params)) | {"--help"} for name, command in get_group(application()).commands.items()}


def _accepted(parameters: Iterable[Any]) -> Iterator[str]:
    for parameter in parameters:
        yield from (option for option in parameter.opts if option.startswith("--"))
        if isinstance(parameter.envvar, str):
            yield parameter.envvar


def emitted_metrics() -> Iterator[str]:
    """Sample names, including those whose labels were never set."""
    metrics = Metrics()
    metrics.watch_keys(int, bool)  # registered only if API keys are configured
    for family in metrics.registry.collect():
        for suffix in SUFFIXES.get(family.type, ("",)):
            yield family.name + suffix


def rejection_reasons() -> Iterator[str]:
    """The argument of every `metrics.rejected("reason")` in the service: no other place lists the label's values."""
    for file in Path(inspect.getfile(Settings)).parent.rglob("*.py"):
        yield from re.findall(r"""\.rejected\(["'](\w+)["']\)""", file.read_text(encoding="utf-8"))


class _Given(Settings):
    """Reads only its arguments, not the environment of this process."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_settings(environment: Mapping[str, str]) -> Reading:
    """Reads the variables as the service does at its start; an empty value counts as unset."""
    given = {name.lower(): value for name, value in environment.items() if value}
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
        return Reading(values, {str(error).split()[0]: str(error)})  # the message begins with the setting
    return Reading(values, {})
