"""Chat templates and their variables in a model's folder, read as transformers reads them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

DEFAULT = "default"


class UnusableTemplate(Exception):
    """A file of the template is broken. The message is for the operator."""


def read_templates(model_path: Path) -> dict[str, str]:
    """Sources by name. Files of templates take precedence over tokenizer_config.json. Raises UnusableTemplate.

    chat_template.json is read last: models for images and text keep the template there.
    """
    single = model_path / "chat_template.jinja"
    files = {DEFAULT: single} if single.is_file() else {}
    files |= {file.stem: file for file in (model_path / "additional_chat_templates").glob("*.jinja")}
    if files:
        return {name: _read(file) for name, file in files.items()}
    for config in ("tokenizer_config.json", "chat_template.json"):
        if templates := _named(_read_json(model_path / config).get("chat_template")):
            return templates
    return {}


def read_special_tokens(model_path: Path) -> dict[str, str]:
    """The variables `bos_token`, `eos_token` and so on, which templates may write."""
    config = _read_json(model_path / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:  # like transformers, which reads the older file only in this case
        config |= _read_json(model_path / "special_tokens_map.json")
    extra = config.get("extra_special_tokens")
    named = {name: value for name, value in config.items() if name.endswith("_token")} | (extra if isinstance(extra, dict) else {})
    contents = {name: value["content"] if isinstance(value, dict) else value for name, value in named.items()}
    return {name: content for name, content in contents.items() if isinstance(content, str)}


def read_control_tokens(model_path: Path) -> list[str] | None:
    """`chat_control_tokens`: the tokens that, besides the special ones, shape a conversation. None where the model names none."""
    named: list[str] | None = _read_json(model_path / "tokenizer_config.json").get("chat_control_tokens")
    return named


def _named(configured: Any) -> dict[str, str]:
    if isinstance(configured, str):
        return {DEFAULT: configured}
    if isinstance(configured, Mapping):
        return dict(configured)
    return {item["name"]: item["template"] for item in configured or ()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnusableTemplate(f"{path.name} is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8.") from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content: dict[str, Any] = json.loads(_read(path))
    except ValueError as error:
        raise UnusableTemplate(f"{path.name} is not valid JSON: {error}") from error
    return content
