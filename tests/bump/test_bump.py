"""`python -m delivery bump` on real git repositories: the image of the newest commit always stays pinned."""

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bump.conftest import IMAGE, bump, digest, options
from bump.delivery_process import as_process, in_process, started
from bump.repositories import FILE, Remote, git

from delivery.git.clone import GitError


def test_bump_pins_the_image_by_digest_and_changes_nothing_else(remote: Remote) -> None:
    before, commit = remote.kustomization(), remote.head
    said = as_process(remote.clone("ci"))("bump", *options(commit))
    assert (said.code, said.out.startswith(f"bumped {FILE} to sha-{commit} by "), said.err) == (0, True, "")
    after = remote.kustomization()
    removed = [line for line in before.splitlines() if line not in after.splitlines()]
    added = [line.strip() for line in after.splitlines() if line not in before.splitlines()]
    assert all("newName:" in line or "newTag:" in line for line in removed)
    assert added[0] == f"newName: {IMAGE}"
    assert added[1].startswith(f"newTag: sha-{commit} #"), "the comment stays"
    assert added[2] == f"digest: {digest(commit)}"
    assert git(remote.bare, "diff", "--name-only", "main~1", "main") == FILE


def test_bump_is_idempotent_and_does_not_touch_the_clone(remote: Remote) -> None:
    clone, commit = remote.clone("ci"), remote.head
    (clone / "code.txt").write_text("a local edit", encoding="utf-8")
    bump(clone, commit)
    head = remote.head
    assert bump(clone, commit) == f"already bumped: {FILE} has sha-{commit}"
    assert remote.head == head
    assert git(clone, "status", "--porcelain") == "M code.txt"
    assert git(clone, "rev-parse", "HEAD") == commit


def test_an_older_commit_never_overwrites_a_newer_one(remote: Remote) -> None:
    old, new = remote.head, remote.merge("second")
    clone = remote.clone("ci")
    bump(clone, new)
    said = as_process(clone)("bump", *options(old))
    assert (said.code, said.out) == (0, f"superseded by {new}: {FILE} is unchanged")
    assert f"sha-{new}" in remote.kustomization()


def test_twenty_concurrent_bumps_in_any_order_end_with_the_newest(remote: Remote) -> None:
    commits = [remote.merge(f"change {number}") for number in range(20)]
    order = random.Random(7).sample(commits, len(commits))
    clones = [remote.clone(f"ci-{number}") for number in range(4)]
    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda numbered: bump(clones[numbered[0] % 4], numbered[1]), enumerate(order)))
    assert all(outcome.startswith(("bumped ", "superseded by ")) for outcome in said)
    assert f"sha-{commits[-1]}" in remote.kustomization()
    assert digest(commits[-1]) in remote.kustomization()
    assert git(remote.bare, "rev-list", "--merges", "main") == ""
    pinned = [commit for commit in git(remote.bare, "log", "--reverse", "--format=%s", "main").splitlines() if commit.startswith("dev: ")]
    positions = [next(i for i, commit in enumerate(commits) if commit.startswith(line.rpartition(" ")[2])) for line in pinned]
    assert positions == sorted(positions)


def test_bump_retries_when_main_moves_during_the_push(remote: Remote) -> None:
    clone, commit = remote.clone("ci"), remote.head
    other = remote.clone("other")
    git(other, "checkout", "-q", "main")
    once = remote.bare / "once"
    # Before the first push is accepted, another clone pushes to main.
    remote.hook(
        "pre-receive",
        f"[ -e {once} ] && exit 0; touch {once}; unset GIT_QUARANTINE_PATH GIT_DIR; cd {other} && echo x > y && git add y && "
        "git -c user.name=o -c user.email=o@o commit -qm other && git push -q origin main",
    )
    assert bump(clone, commit).startswith("bumped ")
    assert "other" in git(remote.bare, "log", "--format=%s", "main").splitlines()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'GH006: Protected branch update failed' >&2; exit 1", "GH006: Protected branch update failed"),
        ("exit 1", "pre-receive hook declined"),
    ],
)
def test_a_protected_branch_is_reported_in_one_line_without_a_retry(remote: Remote, script: str, reason: str) -> None:
    remote.hook("pre-receive", f"echo asked >> {remote.bare}/asked; {script}")
    head = remote.head
    said = as_process(remote.clone("ci"))("bump", *options(head))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("delivery: origin refuses a push to main: ")
    assert reason in said.err
    assert "\n" not in said.err
    assert (remote.bare / "asked").read_text() == "asked\n"
    assert remote.head == head


def test_a_commit_that_a_forced_push_removed_does_not_block_newer_ones(remote: Remote) -> None:
    base, lost = remote.head, remote.merge("to be dropped")
    clone = remote.clone("ci")
    bump(clone, lost)
    git(remote.work, "reset", "-q", "--hard", base)
    git(remote.work, "push", "-q", "--force", "origin", "main")
    git(remote.work, "commit", "-q", "--allow-empty", "-m", "instead")
    git(remote.work, "push", "-q", "origin", "main")
    instead = git(remote.work, "rev-parse", "HEAD")
    with pytest.raises(GitError, match=f"^{lost[:12]} is not on the branch: only merged commits are delivered"):
        bump(clone, lost)
    bump(clone, instead)
    assert f"sha-{instead}" in remote.kustomization()


def test_a_killed_bump_leaves_a_usable_clone_and_remote(remote: Remote) -> None:
    clone, commit = remote.clone("ci"), remote.head
    remote.hook("pre-receive", f"touch {remote.bare}/midway; sleep 2")
    killed = started(clone, "bump", *options(commit))
    while not (remote.bare / "midway").exists():
        assert killed.poll() is None
        time.sleep(0.05)
    killed.kill()
    killed.communicate()
    remote.hook("pre-receive", "exit 0")
    assert git(clone, "status", "--porcelain") == ""
    git(clone, "fsck", "--strict", "--connectivity-only")
    assert bump(clone, commit).startswith(("bumped ", "already bumped: "))
    assert f"sha-{commit}" in remote.kustomization()


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--digest", "latest"], "'latest' is not an image digest"),
        (["--digest", "sha256:" + "0" * 64], "is not an image digest"),
        (["--commit", "nonesuch"], "nonesuch is not a commit of this repository"),
        (["--branch", "release"], "origin has no branch release"),
        (["--commit=--all"], "commit '--all' is not a name"),
        (["--branch=--all"], "branch '--all' is not a name"),
        (["--remote", ""], "remote '' is not a name"),
        (["--environment", "nowhere"], "has no overlays/nowhere/kustomization.yaml"),
    ],
)
def test_invalid_arguments_are_named(remote: Remote, more: list[str], reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = in_process(remote.clone("ci"), monkeypatch)("bump", *options(remote.head), *more)
    assert said.code == 1
    assert reason in said.err


def test_a_shallow_clone_is_refused_with_the_fix(remote: Remote, tmp_path: Path) -> None:
    commit = remote.merge("second")
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{remote.bare}", tmp_path / "shallow"], check=True)
    with pytest.raises(GitError, match="fetch-depth: 0"):
        bump(tmp_path / "shallow", commit)


def test_line_endings_are_kept(remote: Remote) -> None:
    written = (remote.work / FILE).read_bytes().replace(b"\n", b"\r\n")
    (remote.work / FILE).write_bytes(written)
    commit = remote.merge("Written on another system")
    bump(remote.clone("ci"), commit)
    pinned = subprocess.run(["git", "-C", remote.bare, "show", f"main:{FILE}"], capture_output=True, check=True).stdout
    assert pinned.count(b"\n") == pinned.count(b"\r\n")
    assert len(set(pinned.split(b"\n")) - set(written.split(b"\n"))) == 3


def test_help_explains_the_guarantee(tmp_path: Path) -> None:
    assert "never overwrites a newer one" in " ".join(as_process(tmp_path)("bump", "--help").out.split())
