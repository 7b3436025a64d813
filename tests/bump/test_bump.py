"""`python -m delivery bump` on real git repositories: the newest commit's image wins, whatever happens in between."""

import hashlib
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bump.repositories import AUTHOR, FILE, Remote, git
from copied_tree import ROOT

IMAGE = "ghcr.io/org/llm-api"


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path)


def digest(commit: str) -> str:
    return f"sha256:{hashlib.sha256(commit.encode()).hexdigest()}"


def start(clone: Path, commit: str, *more: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "delivery", "bump", "--image", IMAGE, "--digest", digest(commit), "--commit", commit, *more]
    environment = os.environ | AUTHOR | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bump(clone: Path, commit: str, *more: str) -> tuple[int, str]:
    process = start(clone, commit, *more)
    out, err = process.communicate(timeout=60)
    return process.returncode, (out + err).strip()


def test_the_image_is_pinned_by_digest_and_nothing_else_changes(remote: Remote) -> None:
    before, commit = remote.kustomization(), remote.head
    code, said = bump(remote.clone("ci"), commit)
    assert (code, said.startswith(f"bumped {FILE} to sha-{commit} by ")) == (0, True)
    after = remote.kustomization()
    removed = [line for line in before.splitlines() if line not in after.splitlines()]
    added = [line.strip() for line in after.splitlines() if line not in before.splitlines()]
    assert all("newName:" in line or "newTag:" in line for line in removed)
    assert added[0] == f"newName: {IMAGE}"
    assert added[1].startswith(f"newTag: sha-{commit} #"), "the comment stays"
    assert added[2] == f"digest: {digest(commit)}"
    assert git(remote.bare, "diff", "--name-only", "main~1", "main") == FILE


def test_it_is_idempotent_and_leaves_the_clone_alone(remote: Remote) -> None:
    clone, commit = remote.clone("ci"), remote.head
    (clone / "code.txt").write_text("an edit of somebody's", encoding="utf-8")
    bump(clone, commit)
    head = remote.head
    assert bump(clone, commit) == (0, f"bumped already: {FILE} has sha-{commit}")
    assert remote.head == head
    assert git(clone, "status", "--porcelain") == "M code.txt"
    assert git(clone, "rev-parse", "HEAD") == commit


def test_an_older_commit_never_overwrites_a_newer_one(remote: Remote) -> None:
    old, new = remote.head, remote.merge("second")
    clone = remote.clone("ci")
    bump(clone, new)
    assert bump(clone, old) == (0, f"superseded by {new}: {FILE} stays")
    assert f"sha-{new}" in remote.kustomization()


def test_twenty_at_once_in_any_order_end_with_the_newest(remote: Remote) -> None:
    commits = [remote.merge(f"change {number}") for number in range(20)]
    order = random.Random(7).sample(commits, len(commits))
    clones = [remote.clone(f"ci-{number}") for number in range(4)]
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(lambda numbered: bump(clones[numbered[0] % 4], numbered[1]), enumerate(order)))
    assert [outcome for outcome in outcomes if outcome[0]] == []
    assert all(said.startswith(("bumped ", "superseded by ")) for _, said in outcomes)
    assert f"sha-{commits[-1]}" in remote.kustomization()
    assert digest(commits[-1]) in remote.kustomization()
    assert git(remote.bare, "rev-list", "--merges", "main") == ""
    pinned = [commit for commit in git(remote.bare, "log", "--reverse", "--format=%s", "main").splitlines() if commit.startswith("dev: ")]
    positions = [next(i for i, commit in enumerate(commits) if commit.startswith(line.rpartition(" ")[2])) for line in pinned]
    assert positions == sorted(positions)


def test_main_that_moves_in_between_is_met_by_another_attempt(remote: Remote) -> None:
    clone, commit = remote.clone("ci"), remote.head
    other = remote.clone("other")
    git(other, "checkout", "-q", "main")
    once = remote.bare / "once"
    # The first push finds that somebody else's has just come in.
    remote.hook(
        "pre-receive",
        f"[ -e {once} ] && exit 0; touch {once}; unset GIT_QUARANTINE_PATH GIT_DIR; cd {other} && echo x > y && git add y && "
        "git -c user.name=o -c user.email=o@o commit -qm other && git push -q origin main",
    )
    code, said = bump(clone, commit)
    assert (code, said.startswith("bumped ")) == (0, True), said
    assert "other" in git(remote.bare, "log", "--format=%s", "main").splitlines()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'GH006: Protected branch update failed' >&2; exit 1", "GH006: Protected branch update failed"),
        ("exit 1", "pre-receive hook declined"),
    ],
)
def test_a_protected_branch_is_one_line_and_no_retry(remote: Remote, script: str, reason: str) -> None:
    remote.hook("pre-receive", f"echo asked >> {remote.bare}/asked; {script}")
    head = remote.head
    code, said = bump(remote.clone("ci"), head)
    assert code == 1
    assert said.startswith("delivery: origin refuses a push to main: ")
    assert reason in said
    assert "\n" not in said
    assert (remote.bare / "asked").read_text() == "asked\n"
    assert remote.head == head


def test_a_forced_push_makes_room_for_what_is_on_the_branch_now(remote: Remote) -> None:
    base, lost = remote.head, remote.merge("to be dropped")
    clone = remote.clone("ci")
    bump(clone, lost)
    git(remote.work, "reset", "-q", "--hard", base)
    git(remote.work, "push", "-q", "--force", "origin", "main")
    git(remote.work, "commit", "-q", "--allow-empty", "-m", "instead")
    git(remote.work, "push", "-q", "origin", "main")
    instead = git(remote.work, "rev-parse", "HEAD")
    assert bump(clone, lost) == (1, f"delivery: {lost[:12]} is not on the branch: only what was merged is delivered")
    assert bump(clone, instead)[0] == 0
    assert f"sha-{instead}" in remote.kustomization()


def test_a_kill_midway_leaves_nothing_broken(remote: Remote) -> None:
    clone, commit = remote.clone("ci"), remote.head
    remote.hook("pre-receive", "sleep 2")
    killed = start(clone, commit)
    time.sleep(1)
    killed.kill()
    killed.communicate()
    remote.hook("pre-receive", "exit 0")
    assert git(clone, "status", "--porcelain") == ""
    assert git(clone, "fsck", "--strict", "--connectivity-only") is not None
    code, said = bump(clone, commit)
    assert (code, said.startswith("bumped")) == (0, True), said
    assert f"sha-{commit}" in remote.kustomization()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--digest", "latest"], "digest 'latest' is not that of an image"),
        (["--digest", "sha256:" + "0" * 64], "is not that of an image"),
        (["--commit", "nonesuch"], "nonesuch is not a commit of this repository"),
        (["--branch", "release"], "origin has no branch release"),
        (["--environment", "nowhere"], "has no overlays/nowhere/kustomization.yaml"),
    ],
)
def test_what_is_wrong_is_named(remote: Remote, more: list[str], reason: str) -> None:
    code, said = bump(remote.clone("ci"), remote.head, *more)
    assert code == 1
    assert reason in said


def test_a_shallow_clone_is_refused_with_the_remedy(remote: Remote, tmp_path: Path) -> None:
    commit = remote.merge("second")
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{remote.bare}", tmp_path / "shallow"], check=True)
    code, said = bump(tmp_path / "shallow", commit)
    assert (code, "fetch-depth: 0" in said) == (1, True)


def test_help_teaches() -> None:
    done = subprocess.run([sys.executable, "-m", "delivery", "bump", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "never overwrites a newer one" in " ".join(done.stdout.split())
