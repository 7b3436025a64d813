"""The table of settings, from `llm_api.settings.Settings`."""

from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ByteSize
from pydantic.fields import FieldInfo

from llm_api.markdown import table
from llm_api.settings import Settings


def settings_table() -> str:
    rows = [(f"`{name.upper()}`", _default(field), _meaning(field)) for name, field in Settings.model_fields.items()]
    return table(("Variable", "Default", "Meaning"), rows)


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value == ():
        return ""
    return f"`{_text(value).replace(str(Path.home()), '~')}`"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        return value.human_readable()
    return str(value.value if isinstance(value, Enum) else value)


def _meaning(field: FieldInfo) -> str:
    choices = _choices(field.annotation)
    listed = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
    return f"{field.description}{listed}".replace("|", "\\|")


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    return [choice.value for choice in annotation] if isinstance(annotation, type) and issubclass(annotation, Enum) else []
