"""A repository whose dev has a bumped image, GitHub beside it, and the commands on a clone."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from bump.repositories import AUTHOR, Remote, git
from copied_tree import ROOT
from promotion.github_stand_in import REPOSITORY, GitHubStandIn, serving

TOKEN = "not-a-real-token"


class Said(NamedTuple):
    code: int
    out: str
    err: str


Delivery = Callable[..., Said]


@pytest.fixture(scope="session")
def built_tools() -> None:
    """The first build takes longer than a test may."""
    subprocess.run([ROOT / "tools/build"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path, "base", "components", "overlays", "clusters")


@pytest.fixture
def github() -> Iterator[GitHubStandIn]:
    github = GitHubStandIn()
    with serving(github, TOKEN):
        yield github


@pytest.fixture
def delivery(remote: Remote, github: GitHubStandIn, built_tools: None) -> Delivery:
    clone = remote.clone("pipeline")
    around = {"PYTHONPATH": str(ROOT), "GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": github.url}

    def run(*arguments: str, **environment: str) -> Said:
        command = [sys.executable, "-m", "delivery", *arguments]
        variables = os.environ | AUTHOR | around | environment
        done = subprocess.run(command, cwd=clone, env=variables, capture_output=True, text=True, check=False)
        return Said(done.returncode, done.stdout.strip(), done.stderr.strip())

    return run


@pytest.fixture
def bumped(remote: Remote, delivery: Delivery) -> str:
    """The commit whose image dev has. main has the bump on top of it."""
    commit = remote.merge("Say something else", "apps/llm-api/app.py")
    bump(delivery, commit)
    return commit


def bump(delivery: Delivery, commit: str) -> None:
    done = delivery("bump", "--image", f"ghcr.io/{REPOSITORY}", "--digest", f"sha256:{commit[:4] * 16}", "--commit", commit)
    assert done.code == 0, done


def merge_promotion(remote: Remote, github: GitHubStandIn) -> str:
    """As somebody does on GitHub."""
    git(remote.work, "pull", "-q", "--ff-only", "origin", "main")
    git(remote.work, "fetch", "-q", "origin", github.pulls[-1]["head"])
    git(remote.work, "merge", "-q", "--no-ff", "-m", github.pulls[-1]["title"], "FETCH_HEAD")
    git(remote.work, "push", "-q", "origin", "main")
    return remote.head
