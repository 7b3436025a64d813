"""A folder can be served, or the error names the missing file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from weights.tiny_models import write_folder, write_slow_tokenizer

from llm_api.weights.errors import WeightsError
from llm_api.weights.folder import inspect


def test_a_complete_folder_is_servable(tmp_path: Path) -> None:
    facts = inspect(write_folder(tmp_path))
    assert (facts.model_type, facts.has_tokenizer, facts.has_remote_code) == ("llama", True, False)


def test_another_tokenizer_file_can_be_converted(tmp_path: Path) -> None:
    write_slow_tokenizer(write_folder(tmp_path))
    assert not inspect(tmp_path).has_tokenizer


def test_pickles_beside_safetensors_are_ignored(tmp_path: Path) -> None:
    (write_folder(tmp_path) / "pytorch_model.bin").write_bytes(b"")
    inspect(tmp_path)


@pytest.mark.parametrize("where", ["config.json", "tokenizer_config.json"])
def test_model_code_is_detected(where: str, tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / where).write_text('{"model_type": "llama", "auto_map": {"AutoConfig": "code.Config"}}')
    assert inspect(tmp_path).has_remote_code


def _pickles_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _write(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: _replace(folder / name, text)


def _replace(path: Path, text: str) -> None:
    path.write_text(text)


def _cut(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size - 1)


def _gguf_alone(folder: Path) -> None:
    (folder / "config.json").rename(folder / "m.gguf")


def _unreadable(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()


def _unreadable_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").mkdir()


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (_pickles_only, r"only pickled weights \(pytorch_model\.bin\).*safetensors or GGUF"),
        (_remove("model.safetensors"), r"has no \*\.safetensors"),
        (_remove("config.json"), r"has no config\.json"),
        (_remove("tokenizer.json"), r"has no tokenizer\.json"),
        (_gguf_alone, r"set MODEL_PATH=.*/m\.gguf"),
        (_cut, r"model\.safetensors is truncated or not a safetensors file"),
        (_write("config.json", "{"), r"config\.json is not valid JSON"),
        (_write("config.json", "[]"), r"config\.json is not a JSON object"),
        (_write("config.json", "{}"), r"has no model_type"),
        (_write("model.safetensors.index.json", '{"weight_map": {"a": "model-00002.safetensors"}}'), r"has no model-00002\.safetensors"),
        (_unreadable, r"cannot read .*config\.json: Is a directory"),
        (_unreadable_tokenizer, r"cannot read .*tokenizer\.model: Is a directory"),
    ],
)
def test_an_invalid_folder_is_reported_in_one_line(damage: Callable[[Path], None], line: str, tmp_path: Path) -> None:
    damage(write_folder(tmp_path))
    with pytest.raises(WeightsError, match=line) as raised:
        inspect(tmp_path)
    assert str(tmp_path) in str(raised.value)


def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        inspect(tmp_path / "nothing")
