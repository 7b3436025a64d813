"""Writes the table of settings into a page, from settings.py: `settings_table.py PAGE`. With --check it fails if the table is outdated."""

import argparse
import sys
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import ByteSize
from pydantic.fields import FieldInfo

from llm_api.markdown import replace_section
from llm_api.settings import Settings

SECTION = "settings"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = arguments.page.read_text(encoding="utf-8")
    current = replace_section(text, SECTION, settings_table())
    if arguments.check:
        sys.exit(None if current == text else f"{arguments.page} is outdated: run `make docs`")
    arguments.page.write_text(current, encoding="utf-8")


def settings_table() -> str:
    rows = [f"| `{name.upper()}` | {_default(field)} | {_meaning(field)} |" for name, field in Settings.model_fields.items()]
    return "\n".join(["| Variable | Default | Meaning |", "| --- | --- | --- |", *rows])


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


if __name__ == "__main__":
    main()
