import hashlib
from pathlib import Path

import pytest
from bump.repositories import AUTHOR, FILE, Remote

from delivery.bump import Bump
from delivery.git.remote import Git

IMAGE = "ghcr.io/org/llm-api"


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote.of_files(tmp_path_factory.mktemp("first"), FILE)


@pytest.fixture
def remote(first: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
    return first.copied(tmp_path)


def digest(commit: str) -> str:
    return f"sha256:{hashlib.sha256(commit.encode()).hexdigest()}"


def options(commit: str) -> tuple[str, ...]:
    return "--image", IMAGE, "--digest", digest(commit), "--commit", commit


def bump(clone: Path, commit: str) -> str:
    """Bumps in a clone, in this process. Returns the outcome."""
    return Bump(Git(clone, "origin", "main", pause=0.01), FILE, IMAGE, digest(commit), commit).run()
