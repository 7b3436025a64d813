"""A GGUF is converted to a servable folder, once, in a separate process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tokenizers import Tokenizer
from weights.conftest import Notes
from weights.tiny_models import TEMPLATE, vocabulary, write_folder, write_gguf, write_slow_tokenizer

from llm_api.weights.conversion_process import Converter
from llm_api.weights.errors import WeightsError
from llm_api.weights.folder import inspect
from llm_api.weights.progress import LineProgress
from llm_api.weights.resolve import ServableModel, resolve


@contextmanager
def pulling(model: Path, cache: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"MODEL_CACHE": str(cache)}
    command = [sys.executable, "-m", "llm_api", "pull", str(model)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def pulled(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """Two processes that pull the same model. The second starts when the first converts."""
    cache = tmp_path_factory.mktemp("cache")
    with pulling(tiny_gguf, cache) as first:
        said = first.stderr.readline() if first.stderr else ""
        with pulling(tiny_gguf, cache) as second:
            outputs = [process.communicate(timeout=100) for process in (first, second)]
    return [
        Outcome(first.returncode, outputs[0][0], said + outputs[0][1]),
        Outcome(second.returncode, *outputs[1]),
    ]


@pytest.fixture(scope="session")
def folder(pulled: list[Outcome]) -> Path:
    assert pulled[0].exit_code == 0, pulled[0].stderr
    return Path(pulled[0].stdout.strip())


def test_two_processes_convert_once(pulled: list[Outcome]) -> None:
    first, second = pulled
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "converting" in first.stderr
    assert "waiting for it" in second.stderr
    assert "converting" not in second.stderr
    assert first.stdout == second.stdout


def test_where_there_is_no_terminal_each_stage_is_a_plain_line(pulled: list[Outcome]) -> None:
    stages = ("reading the file", "loading the libraries", "weights", "tokenizer", "writing")
    lines = [line for line in pulled[0].stderr.splitlines() if " of 11 (" not in line]  # the share of the weights, on a slow machine
    assert lines[:-1] == ["converting tiny-chat.Q8_0.gguf", *(f"converting tiny-chat.Q8_0.gguf: {stage}" for stage in stages)]
    assert lines[-1].startswith("recording checksums (")


def test_a_gguf_becomes_a_servable_folder(folder: Path) -> None:
    assert inspect(folder).has_tokenizer
    assert json.loads((folder / "config.json").read_bytes())["dtype"] == "bfloat16"
    assert (folder / "chat_template.jinja").read_text() == TEMPLATE


def test_a_model_is_named_without_its_quantization(folder: Path, tiny_gguf: Path, notes: Notes) -> None:
    source = resolve(tiny_gguf, "", folder.parent.parent, notes.progress)
    assert source == ServableModel(folder, "tiny-chat")
    assert notes == []  # no progress: the cache had the model


def test_others_may_read_it(folder: Path) -> None:
    assert {path.stat().st_mode & 0o444 for path in folder.iterdir()} == {0o444}


def test_text_is_split_by_the_files_pre_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.encode("  1", add_special_tokens=False).tokens == ["ĠĠ", "1"]  # GPT-2's rule alone would split the spaces
    assert tokenizer.encode("<|im_end|>", add_special_tokens=False).ids == [vocabulary().index("<|im_end|>")]


def test_the_conversion_does_not_load_torch_here() -> None:
    code = "import sys, llm_api.weights.resolve as r; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _garbage(path: Path) -> Path:
    path.write_bytes(b"not a model")
    return path


def _half(path: Path) -> Path:
    os.truncate(write_gguf(path), path.stat().st_size // 2)
    return path


def _unknown_quantization(path: Path) -> Path:
    content = write_gguf(path).read_bytes()
    name = b"token_embd.weight"
    kind = content.index(name) + len(name) + 4 + 2 * 8  # number of dimensions, two dimensions
    path.write_bytes(content[:kind] + (999).to_bytes(4, "little") + content[kind + 4 :])
    return path


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (_garbage, "cannot read m.gguf as GGUF"),
        (_half, "cannot read m.gguf as GGUF"),
        (_unknown_quantization, "cannot read m.gguf as GGUF: ValueError: .*999.* is not a valid GGMLQuantizationType"),
    ],
)
def test_a_file_that_cannot_be_converted_is_one_line(make: Callable[[Path], Path], line: str, notes: Notes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=line) as raised:
        resolve(make(tmp_path / "m.gguf"), "", tmp_path / "cache", notes.progress)
    assert raised.value.exit_code == 65
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("converts_here")
def test_an_architecture_that_transformers_does_not_know_is_one_line(notes: Notes, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="cannot convert m.gguf: .*architecture nonesuch is not supported"):
        resolve(write_gguf(tmp_path / "m.gguf", architecture="nonesuch"), "", tmp_path / "cache", notes.progress)


class Killer(LineProgress):
    """Kills the conversion at its first line."""

    def __init__(self) -> None:
        super().__init__(self._kill)

    def _kill(self, line: str) -> None:
        for child in psutil.Process().children():
            child.kill()


def test_a_killed_conversion_is_reported_as_out_of_memory(tiny_gguf: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="was killed, most likely because memory ran out"):
        Converter(Killer()).gguf(tiny_gguf, tmp_path / "model")


def test_a_conversion_ends_with_its_parent(tiny_gguf: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "llm_api.weights.conversion_worker", "gguf", str(tiny_gguf), str(tmp_path / "model")]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("converts_here")
def test_a_folder_with_another_tokenizer_gets_a_tokenizer_json(notes: Notes, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "slow")
    write_slow_tokenizer(folder)
    source = resolve(folder, "", tmp_path / "cache", notes.progress)
    assert source.name == "slow"
    assert not (folder / "tokenizer.json").exists()
    assert inspect(source.path).has_tokenizer
    assert Tokenizer.from_file(str(source.path / "tokenizer.json")).encode("  ").tokens == ["ĠĠ"]


@pytest.mark.usefixtures("converts_here")
def test_a_model_of_an_older_conversion_is_converted_again(
    tiny_gguf: Path, notes: Notes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = resolve(tiny_gguf, "", tmp_path, notes.progress)
    monkeypatch.setattr("llm_api.weights.resolve.CONVERSION", 1000)
    newer = resolve(tiny_gguf, "", tmp_path, notes.progress)
    assert older.path != newer.path and older.name == newer.name
