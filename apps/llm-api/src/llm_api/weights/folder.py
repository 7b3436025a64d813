"""Checks that a model folder has everything needed to serve it, by file names and headers. Loads no weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from llm_api.weights.errors import IncompleteModel, UnreadableModel, UnsupportedModel, WeightsNotFound

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
SLOW_TOKENIZERS = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.json", "vocab.txt", "tekken.json")
_INDEX = "model.safetensors.index.json"
_SENTENCEPIECE = b"\n"  # the tag of the first field: a piece


@dataclass(frozen=True, slots=True)
class FolderFacts:
    model_type: str
    has_tokenizer: bool  # tokenizer.json; if not, it can be made from another tokenizer file
    has_remote_code: bool


def inspect(folder: Path) -> FolderFacts:
    """Raises WeightsError where the folder cannot be served."""
    names = _listing(folder)
    config = _config(folder, names)
    _check_weights(folder, names)
    if "tokenizer.json" not in names:
        _check_convertible(folder, names)
    return FolderFacts(config["model_type"], "tokenizer.json" in names, _has_remote_code(folder, config))


def _check_convertible(folder: Path, names: set[str]) -> None:
    ranks = next((name for name in sorted(names) if name.endswith(".tiktoken")), None)
    if "tokenizer.model" in names and not _bytes(folder / "tokenizer.model").startswith(_SENTENCEPIECE):
        ranks = "tokenizer.model"
    if ranks:
        raise UnsupportedModel(
            f"{folder / ranks} is a tiktoken vocabulary, which has neither the special tokens nor the rule that splits text."
            " Add the model's tokenizer.json: a version of the model for transformers has it."
        )
    if not names.intersection(SLOW_TOKENIZERS):
        others = ", ".join(SLOW_TOKENIZERS)
        raise IncompleteModel(f"{folder} has no tokenizer.json, and no tokenizer file to make it from ({others}).")


def _listing(folder: Path) -> set[str]:
    if not folder.exists():
        raise WeightsNotFound(f"{folder} does not exist. MODEL_PATH (or file://) names a model folder or a .gguf file.")
    if not folder.is_dir():
        raise UnsupportedModel(f"{folder} is neither a folder nor a .gguf file.")
    try:
        return {path.name for path in folder.iterdir()}
    except OSError as error:
        raise UnreadableModel(f"cannot read {folder}: {error.strerror}.") from error


def _config(folder: Path, names: set[str]) -> dict[str, Any]:
    if "config.json" not in names:
        if ggufs := sorted(name for name in names if name.endswith(".gguf")):
            raise IncompleteModel(f"{folder} has no config.json. For its GGUF set MODEL_PATH={folder / ggufs[0]}.")
        raise IncompleteModel(f"{folder} has no config.json.")
    config = _json(folder / "config.json")
    if not isinstance(config.get("model_type"), str):
        raise IncompleteModel(f"{folder / 'config.json'} has no model_type.")
    return config


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_bytes(path))
    except (ValueError, RecursionError) as error:
        raise IncompleteModel(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise IncompleteModel(f"{path} is not a JSON object.")
    return content


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableModel(f"cannot read {path}: {error.strerror}.") from error


def _check_weights(folder: Path, names: set[str]) -> None:
    weights = {name for name in names if name.endswith(".safetensors")}
    if not weights:
        raise no_safe_weights(str(folder), names)
    if _INDEX in names:
        listed = _listed(folder / _INDEX)
        if missing := sorted(listed - weights):
            raise IncompleteModel(f"{folder} has no {missing[0]}, which {_INDEX} lists ({len(missing)} files are missing).")
        weights = listed  # other files are never read
    for name in sorted(weights):
        _check_header(folder / name)


def _listed(index: Path) -> set[str]:
    files = _json(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(file, str) for file in files.values()):
        raise IncompleteModel(f"{index} has no weight_map from tensors to files.")
    return set(files.values())


def _check_header(path: Path) -> None:
    """Detects truncated files: the header states the length."""
    try:
        with safe_open(path, framework="numpy"):
            pass
    except SafetensorError as error:
        raise IncompleteModel(f"{path} is truncated or not a safetensors file: {error}.") from error
    except OSError as error:
        raise UnreadableModel(f"cannot read {path}: {error.strerror or error}.") from error


def no_safe_weights(where: str, names: set[str]) -> UnsupportedModel | IncompleteModel:
    pickles = sorted(name for name in names if name.endswith(PICKLES))
    if pickles:
        return UnsupportedModel(
            f"{where} has only pickled weights ({', '.join(pickles[:3])}), which can run code when loaded. "
            "Use a safetensors or GGUF version of the model."
        )
    return IncompleteModel(f"{where} has no *.safetensors.")


def _has_remote_code(folder: Path, config: dict[str, Any]) -> bool:
    tokenizer_config = folder / "tokenizer_config.json"
    return "auto_map" in config or (tokenizer_config.exists() and "auto_map" in _json(tokenizer_config))
