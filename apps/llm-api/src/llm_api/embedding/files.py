"""What the files of sentence-transformers say about a model: its pooling, and its maximum length."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from llm_api.refusal import EX_DATAERR, Refusal

PoolingMode = Literal["mean", "cls", "max", "lasttoken"]
OLD_NAMES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "lasttoken",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
}
LARGEST_LENGTH = 10**6  # tokenizers without a limit state a huge number


class UnsupportedEmbedding(Refusal):
    """The folder is not an embedding model that can be served. One line."""

    exit_code = EX_DATAERR


@dataclass(frozen=True, slots=True)
class EmbeddingFiles:
    """Without sentence-transformers' files: the mean of all tokens, normalized."""

    pooling: PoolingMode
    normalizes: bool
    max_length: int
    can_shorten: bool


def read_files(folder: Path) -> EmbeddingFiles:
    """Raises UnsupportedEmbedding."""
    config = _json(folder / "config.json")
    modules = _modules(folder)
    return EmbeddingFiles(
        pooling=_pooling(folder, modules.get("Pooling")),
        normalizes=not modules or "Normalize" in modules,
        max_length=_max_length(folder, config),
        can_shorten=bool(config.get("is_matryoshka") or config.get("matryoshka_dimensions")),
    )


def _modules(folder: Path) -> dict[str, str]:
    """Paths within the folder, by type."""
    if not (folder / "modules.json").exists():
        return {}
    modules = {str(entry["type"]).rpartition(".")[2]: str(entry["path"]) for entry in json.loads((folder / "modules.json").read_bytes())}
    if others := modules.keys() - {"Transformer", "Pooling", "Normalize"}:
        raise UnsupportedEmbedding(f"{folder / 'modules.json'} has the module {min(others)}, which is not supported.")
    return modules


def _pooling(folder: Path, path: str | None) -> PoolingMode:
    if path is None:
        return "mean"
    file = folder / path / "config.json"
    config = _json(file)
    found = [name for key, name in OLD_NAMES.items() if config.get(key)] or [config.get("pooling_mode", "mean")]
    if len(found) != 1 or found[0] not in get_args(PoolingMode):
        known = ", ".join(get_args(PoolingMode))
        raise UnsupportedEmbedding(f"{file} asks for the pooling {' and '.join(map(str, found))}; supported is one of {known}.")
    return cast(PoolingMode, found[0])


def _max_length(folder: Path, config: dict[str, Any]) -> int:
    positions = config.get("max_position_embeddings", LARGEST_LENGTH)
    if config.get("model_type") in {"roberta", "xlm-roberta", "camembert", "mpnet"}:
        positions -= int(config.get("pad_token_id") or 0) + 1  # positions begin after that of the padding
    stated = [
        _json(folder / name).get(key)
        for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length"))
        if (folder / name).exists()
    ]
    return int(min([positions, *(length for length in stated if length)]))


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise UnsupportedEmbedding(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UnsupportedEmbedding(f"{file} is not a JSON object.")
    return content
