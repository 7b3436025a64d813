"""Chat templates and their variables in a model's folder, read as transformers reads them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_api.refusal import Refusal

DEFAULT = "default"


class UnusableTemplate(Refusal):
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
        if templates := _named(_read_json(model_path / config).get("chat_template"), config):
            return templates
    return {}


def read_special_tokens(model_path: Path) -> dict[str, str]:
    """The variables `bos_token`, `eos_token` and so on, which templates may write."""
    config = _read_json(model_path / "tokenizer_config.json")
    files = dict.fromkeys(config, "tokenizer_config.json")
    if "added_tokens_decoder" not in config:  # like transformers, which reads the older file only in this case
        older = _read_json(model_path / "special_tokens_map.json")
        config |= older
        files |= dict.fromkeys(older, "special_tokens_map.json")
    extra = config.get("extra_special_tokens")
    named = {name: (value, files[name], name) for name, value in config.items() if name.endswith("_token")}
    if isinstance(extra, dict):
        file = files["extra_special_tokens"]
        named |= {name: (value, file, f"extra_special_tokens.{name}") for name, value in extra.items()}
    contents = {name: _content(*each) for name, each in named.items()}
    return {name: content for name, content in contents.items() if isinstance(content, str)}


def read_control_tokens(model_path: Path) -> list[str] | None:
    """`chat_control_tokens`: the tokens that, besides the special ones, shape a conversation. None where the model names none."""
    named: Any = _read_json(model_path / "tokenizer_config.json").get("chat_control_tokens")
    if named is not None and not (isinstance(named, list) and all(isinstance(token, str) for token in named)):
        raise UnusableTemplate("tokenizer_config.json: chat_control_tokens is not a list of strings. Write each token as a string.")
    return named


def _content(value: Any, file: str, key: str) -> Any:
    """The text of a token, which is written alone or as an object."""
    if not isinstance(value, dict):
        return value
    if not isinstance(value.get("content"), str):
        raise UnusableTemplate(f"{file}: {key} has no string under content. Add the token's text, or remove {key}.")
    return value["content"]


def _named(configured: Any, file: str) -> dict[str, str]:
    if configured is None:
        return {}
    if isinstance(configured, str):
        return {DEFAULT: configured}
    if isinstance(configured, list) and all(isinstance(item, Mapping) and isinstance(item.get("name"), str) for item in configured):
        configured = {item["name"]: item.get("template") for item in configured}
    if not isinstance(configured, Mapping):
        expected = "a string, an object of strings, or a list of objects with name and template"
        raise UnusableTemplate(f"{file}: chat_template is not {expected}. Write it as one of these.")
    for name, source in configured.items():
        if not isinstance(source, str):
            raise UnusableTemplate(f"{file}: the template {name!r} in chat_template is not a string. Write it as a string.")
    return dict(configured)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UnusableTemplate(f"{path.name} is not UTF-8: {error.reason} at byte {error.start}. Save it as UTF-8.") from error


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise UnusableTemplate(f"{path.name} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise UnusableTemplate(f"{path.name} is not a JSON object")
    return content
