"""The tokens that end a text, as the model's files name them by id."""

import json
from pathlib import Path
from typing import Any

from llm_api.engine.errors import EngineError


def end_of_text_ids(model_path: Path, configured: int | list[int] | None) -> frozenset[int]:
    """The union of generation_config.json and config.json (`configured`): models name the token that ends a turn in one of them
    and the one that ends a document in the other.

    Tokens that files name by their text are in EngineConfig.end_token_ids: the API process has the tokenizer.
    """
    generation = _read(model_path / "generation_config.json").get("eos_token_id")
    return _ids(generation) | _ids(configured)


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
