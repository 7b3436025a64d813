from collections.abc import Iterator
from pathlib import Path

import pytest
from weights.file_server import FileServer, running
from weights.tiny_models import write_gguf

from llm_api.weights import conversion_worker
from llm_api.weights.conversion_process import Converter
from llm_api.weights.progress import LineProgress


class Notes(list[str]):
    """The lines of a progress."""

    @property
    def progress(self) -> LineProgress:
        return LineProgress(self.append)

    @property
    def text(self) -> str:
        return "\n".join(self)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def converts_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts in this process, because a new one imports torch and transformers first. test_conversion.py starts real ones."""
    monkeypatch.setattr(Converter, "_run", lambda converter, description, *arguments: conversion_worker.run(list(arguments)))


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running(FileServer()) as server:
        yield server


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny-chat.Q8_0.gguf")
