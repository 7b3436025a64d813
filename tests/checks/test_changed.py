"""`make changed`: only a change that cannot break the image on a cluster skips that check."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bump.repositories import AUTHOR, FILE, Remote, git
from copied_tree import ROOT

BASE = "0" * 40


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote.of_files(tmp_path, FILE)


def changed(clone: Path, base: str, output: Path | None = None) -> str:
    environment = os.environ | AUTHOR | {"PYTHONPATH": str(ROOT), "BASE": base, "GITHUB_OUTPUT": str(output or "")}
    done = subprocess.run(
        [sys.executable, "-m", "delivery", "changed"], cwd=clone, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[0]


@pytest.mark.parametrize(
    ("file", "checked"),
    [
        ("docs/runbook.md", False),
        ("apps/llm-api/README.md", False),
        ("clusters/prod/argocd/application.yaml", False),
        ("apps/llm-api/src/llm_api/app.py", True),
        ("base/deployment.yaml", True),
        ("overlays/prod/environment.yaml", True),
        ("tests/cluster/load.py", True),
        ("a-new-folder/file", True),
        (FILE, True),
    ],
)
def test_which_files_need_a_check_on_a_cluster(remote: Remote, file: str, checked: bool) -> None:
    before = remote.head
    if file == FILE:
        with (remote.work / FILE).open("a", encoding="utf-8") as kustomization:
            kustomization.write("labels: []\n")
        remote.merge("more than a pin")
        assert "docs" not in git(remote.work, "diff", "--name-only", before)
    else:
        remote.merge("text", file)
    assert changed(remote.work, before) == f"cluster={'true' if checked else 'false'}"


def test_a_bump_needs_no_check_on_a_cluster(remote: Remote) -> None:
    commit, digest = remote.head, f"sha256:{'a' * 64}"
    arguments = ["--image", "ghcr.io/org/llm-api", "--digest", digest, "--commit", commit]
    environment = os.environ | AUTHOR | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "delivery", "bump", *arguments], cwd=remote.work, env=environment, check=True)
    git(remote.work, "pull", "-q", "--ff-only", "origin", "main")
    assert git(remote.work, "diff", "--name-only", commit) == FILE
    assert changed(remote.work, commit) == "cluster=false"


def test_only_changes_of_the_branch_itself_count(remote: Remote) -> None:
    git(remote.work, "checkout", "-q", "-b", "branch")
    (remote.work / "README.md").write_text("words")
    git(remote.work, "add", "-A")
    git(remote.work, "commit", "-q", "-m", "words")
    git(remote.work, "checkout", "-q", "main")
    main = remote.merge("code")
    git(remote.work, "checkout", "-q", "branch")
    assert changed(remote.work, main) == "cluster=false"


def test_after_a_forced_push_everything_needs_the_cluster(remote: Remote) -> None:
    assert changed(remote.work, BASE) == "cluster=true"


def test_the_result_is_written_as_a_workflow_output(remote: Remote, tmp_path: Path) -> None:
    output = tmp_path / "output"
    output.write_text("earlier=1\n")
    changed(remote.work, remote.head, output)
    assert output.read_text() == "earlier=1\ncluster=false\n"
