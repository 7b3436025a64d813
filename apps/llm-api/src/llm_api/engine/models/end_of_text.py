"""The tokens that end a text: every file of a model that names one is right."""

import json
from pathlib import Path
from typing import Any

from llm_api.engine.errors import EngineError


def end_of_text_ids(model_path: Path, configured: int | list[int] | None) -> frozenset[int]:
    """The union of generation_config.json, config.json (`configured`) and tokenizer_config.json. Files that are absent name none.

    Models name the token that ends a turn in one of them and the one that ends a document in another. vLLM stops at both, too.
    """
    generation = _read(model_path / "generation_config.json").get("eos_token_id")
    return _ids(generation) | _ids(configured) | _ids(_of_tokenizer(model_path))


def _of_tokenizer(model_path: Path) -> int | None:
    token = _read(model_path / "tokenizer_config.json").get("eos_token")
    text = token.get("content") if isinstance(token, dict) else token
    if text is None:
        return None
    tokenizer = _read(model_path / "tokenizer.json")
    added = {entry["content"]: int(entry["id"]) for entry in tokenizer.get("added_tokens") or ()}
    vocabulary = (tokenizer.get("model") or {}).get("vocab") or {}
    known = added.get(text, vocabulary.get(text) if isinstance(vocabulary, dict) else None)
    return None if known is None else int(known)


def _ids(eos: int | list[int] | None) -> frozenset[int]:
    if eos is None:
        return frozenset()
    return frozenset([eos] if isinstance(eos, int) else eos)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EngineError(f"{path} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}
