"""A repository with a bumped image in dev, a stub of GitHub, and the commands on a clone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bump.delivery_process import Delivery, as_process, in_process
from bump.repositories import AUTHOR, Remote, git
from promotion.github_stub import REPOSITORY, GitHubStub, serving

from delivery.bump import Bump
from delivery.environments import pin_file
from delivery.git.remote import Git
from delivery.go_tools import built

TOKEN = "not-a-real-token"
IMAGE = f"ghcr.io/{REPOSITORY}"
SIGNED = ("--verify", "true")  # instead of cosign; make e2e-delivery uses the real one


@pytest.fixture(scope="session")
def built_tools() -> None:
    """Builds the tools first, because that takes longer than a test's timeout."""
    built()


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    return Remote.of_files(tmp_path_factory.mktemp("first"), "base", "components", "overlays", "clusters")


@pytest.fixture
def remote(first: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    for name, value in AUTHOR.items():
        monkeypatch.setenv(name, value)
    return first.copied(tmp_path)


@pytest.fixture
def github() -> Iterator[GitHubStub]:
    github = GitHubStub()
    with serving(github, TOKEN):
        yield github


@pytest.fixture
def pipeline(remote: Remote) -> Path:
    return remote.clone("pipeline")


@pytest.fixture
def around(github: GitHubStub) -> dict[str, str]:
    return {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": github.url}


@pytest.fixture
def delivery(pipeline: Path, around: dict[str, str], built_tools: None, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    return in_process(pipeline, monkeypatch, **around)


@pytest.fixture
def process(pipeline: Path, around: dict[str, str], built_tools: None) -> Delivery:
    """The same as a separate process, as the pipelines run it."""
    return as_process(pipeline, **around)


@pytest.fixture
def bumped(remote: Remote, pipeline: Path) -> str:
    """The commit whose image dev has. main has the bump on top."""
    commit = remote.merge("Say something else", "apps/llm-api/app.py")
    bump(pipeline, commit)
    return commit


def bump(pipeline: Path, commit: str) -> None:
    outcome = Bump(Git(pipeline, "origin", "main"), pin_file("dev"), IMAGE, f"sha256:{commit[:4] * 16}", commit).run()
    assert outcome.startswith("bumped ")


def promoted(remote: Remote, delivery: Delivery, github: GitHubStub) -> str:
    """Promotes and merges. Returns the merge commit."""
    github.add_status(remote.head, "success", 45)
    said = delivery("promote", *SIGNED)
    assert said.code == 0, said
    return merge_promotion(remote, github)


def merge_promotion(remote: Remote, github: GitHubStub) -> str:
    """Merges the pull request as GitHub does."""
    remote.pull()
    git(remote.work, "fetch", "-q", "origin", github.pulls[-1]["head"])
    git(remote.work, "merge", "-q", "--no-ff", "-m", github.pulls[-1]["title"], "FETCH_HEAD")
    git(remote.work, "push", "-q", "origin", "main")
    return remote.head


@pytest.fixture
def cosign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a stub that always succeeds and writes its arguments to `asked`."""
    cosign = tmp_path / "bin/cosign"
    cosign.parent.mkdir()
    cosign.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$(dirname "$0")/asked"\n')
    cosign.chmod(0o755)
    monkeypatch.setenv("PATH", str(cosign.parent), prepend=":")
    return cosign.parent
