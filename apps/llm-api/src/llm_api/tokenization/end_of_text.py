"""The tokens that end a text, wherever a model folder names them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def read_eos_token_ids(model_path: Path, token_to_id: Callable[[str], int | None]) -> frozenset[int]:
    """Of generation_config.json, else config.json, else tokenizer_config.json; empty where none names any."""
    for name in ("generation_config.json", "config.json"):
        config = _read(model_path / name)
        named = config.get("eos_token_id", config.get("text_config", {}).get("eos_token_id"))
        if named is not None:
            return frozenset(named if isinstance(named, list) else [named])
    token = _read(model_path / "tokenizer_config.json").get("eos_token")
    token_id = token_to_id(token["content"] if isinstance(token, dict) else token) if token else None
    return frozenset() if token_id is None else frozenset([token_id])


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return config
