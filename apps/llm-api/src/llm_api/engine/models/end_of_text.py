"""The tokens that end a text, as the model's files name them by id."""

import json
from pathlib import Path
from typing import Any

from llm_api.engine.errors import EngineError

LARGEST_ID = 2**31 - 1


def end_of_text_ids(model_path: Path, configured: Any) -> frozenset[int]:
    """The union of generation_config.json and config.json (`configured`): models name the token that ends a turn in one of them
    and the one that ends a document in the other.

    Tokens that files name by their text are in EngineConfig.end_token_ids: the API process has the tokenizer.
    """
    generation = _read(model_path / "generation_config.json").get("eos_token_id")
    return _ids(generation, model_path / "generation_config.json") | _ids(configured, model_path / "config.json")


def _ids(eos: Any, source: Path) -> frozenset[int]:
    ids = [] if eos is None else eos if isinstance(eos, list) else [eos]
    if not all(type(token_id) is int and 0 <= token_id <= LARGEST_ID for token_id in ids):
        raise EngineError(f"{source}: eos_token_id is {str(eos)[:100]}, but must be a token id or a list of them")
    return frozenset(ids)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise EngineError(f"{path} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}
