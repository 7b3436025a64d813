"""`llm-api pull` prints the folder, or one line with the error."""

import os
from pathlib import Path

import pytest
from cli.commands import run_cli
from embedding.tiny_encoder import tiny_encoder
from weights.tiny_models import write_folder

from llm_api.settings import DEFAULT_MODEL_URI
from llm_api.weights import checksums
from llm_api.weights.cache import ModelCache
from llm_api.weights.progress import LineProgress
from llm_api.weights.resolve import as_converted


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A cache that holds the default model, as it would be after a pull."""
    progress = LineProgress(print)
    entry = ModelCache(tmp_path, progress).entry("SmolLM2-135M-Instruct", as_converted(DEFAULT_MODEL_URI))
    folder = write_folder(entry)
    checksums.write_manifest(folder, DEFAULT_MODEL_URI, None, progress)
    return folder


def test_the_folder_alone_is_on_stdout(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "m")
    result = run_cli("pull", str(folder))
    assert (result.exit_code, result.stdout) == (0, f"{folder}\n")


def test_a_cached_model_needs_no_network(cached: Path, tmp_path: Path) -> None:
    result = run_cli("pull", "--verify", env={"MODEL_CACHE": str(tmp_path), "PIP_NO_INDEX": "1"})
    assert (result.exit_code, result.stdout) == (0, f"{cached}\n")
    assert "verified 4 files" in result.stderr


def test_without_an_argument_the_embedding_model_is_pulled_too(tmp_path: Path) -> None:
    chat, embedding = write_folder(tmp_path / "chat"), tiny_encoder(tmp_path)
    environment = {"MODEL_PATH": str(chat), "EMBEDDING_MODEL_URI": f"file://{embedding}"}
    assert run_cli("pull", env=environment).stdout == f"{chat}\n{embedding}\n"
    assert run_cli("pull", str(chat), env=environment).stdout == f"{chat}\n"


def test_verify_names_both_checksums_of_a_bad_file(cached: Path, tmp_path: Path) -> None:
    weights = cached / "model.safetensors"
    content, times = weights.read_bytes(), weights.stat()
    weights.write_bytes(content[:-1] + b"!")
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    result = run_cli("pull", "--verify", env={"MODEL_CACHE": str(tmp_path)})
    assert result.exit_code == 65
    assert result.stderr.splitlines()[-1].startswith(f"llm-api: {weights} has the wrong checksum: expected sha256 ")


@pytest.mark.parametrize(
    ("model", "exit_code", "line"),
    [
        ("s3://", 78, "is not s3://bucket/folder"),
        ("nonsense://x", 78, "unknown scheme 'nonsense'"),
        ("/nothing/here", 66, "/nothing/here does not exist"),
        ("/nothing/here.gguf", 66, "/nothing/here.gguf does not exist"),
        ("file:///nothing", 66, "/nothing does not exist"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(model: str, exit_code: int, line: str) -> None:
    result = run_cli("pull", model)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.startswith("llm-api: ")
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
