"""What a model folder holds for chats: the templates by name, and the special tokens that templates may write."""

import json
from pathlib import Path
from typing import Any


def read_templates(model_path: Path) -> dict[str, str]:
    """By name, of which `default` is the one without tools. Files win over tokenizer_config.json."""
    files = {path.stem: path for path in (model_path / "additional_chat_templates").glob("*.jinja")}
    if (default := model_path / "chat_template.jinja").is_file():
        files["default"] = default
    if files:
        return {name: path.read_text(encoding="utf-8") for name, path in files.items()}
    configured = _read(model_path / "tokenizer_config.json").get("chat_template") or {}
    if isinstance(configured, str):
        return {"default": configured}
    return {item["name"]: item["template"] for item in configured}


def read_special_tokens(model_path: Path) -> dict[str, str]:
    """`bos_token`, `eos_token` and the like, by name."""
    config = _read(model_path / "tokenizer_config.json")
    if "added_tokens_decoder" not in config:  # as transformers: the older file counts only without it
        config |= _read(model_path / "special_tokens_map.json")
    extra = config.get("extra_special_tokens")
    named = {name: value for name, value in config.items() if name.endswith("_token")} | (extra if isinstance(extra, dict) else {})
    contents = {name: value["content"] if isinstance(value, dict) else value for name, value in named.items()}
    return {name: content for name, content in contents.items() if isinstance(content, str)}


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
