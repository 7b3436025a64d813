"""`release` tags the promotion that changed prod's image and nothing newer. Ancestry decides, not the order of runs."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bump.delivery_process import Delivery
from bump.repositories import Remote, git
from promotion.conftest import IMAGE, SIGNED, promoted
from promotion.github_stub import REPOSITORY, GitHubStub

from delivery.environments import pin_file
from delivery.git.remote import Git
from delivery.overlay_image import ImagePin, write_pin
from delivery.release import Release


def release(pipeline: Path, commit: str = "", *, same_image: bool = False) -> str:
    return Release(Git(pipeline, "origin", "main"), "true", commit, same_image=same_image).run()


def pin_in_prod(remote: Remote, image: str) -> str:
    """Merges a promotion without running promote. `image` is a digit. Returns its commit."""
    remote.pull()
    file = remote.work / pin_file("prod")
    pin = ImagePin.of_commit(IMAGE, image * 40, f"sha256:{image * 64}")
    file.write_text(write_pin(file.read_text(), str(file), pin))
    return remote.merge(f"prod: promote {image}", "promotions.txt")


def rollback(remote: Remote) -> str:
    git(remote.work, "revert", "--no-edit", "HEAD")
    git(remote.work, "push", "-q", "origin", "main")
    return remote.head


def tags(remote: Remote) -> dict[str, str]:
    listed = git(remote.bare, "for-each-ref", "--format=%(refname:short) %(*objectname)", "--sort=version:refname", "refs/tags/")
    return dict(line.split() for line in listed.splitlines())


def test_a_promotion_is_tagged_and_newer_commits_are_not(
    remote: Remote, delivery: Delivery, process: Delivery, github: GitHubStub, bumped: str
) -> None:
    assert "pins the placeholder not-promoted" in delivery("release", *SIGNED).err
    merged = promoted(remote, delivery, github)
    newer = remote.merge("A longer drain", "base/notes.md")
    assert process("release", *SIGNED) == (0, f"released 1.0.0: {merged[:12]} with sha-{bumped}", "")
    assert tags(remote) == {"1.0.0": merged}
    for commit in ("", merged, newer):
        assert delivery("release", *SIGNED, "--commit", commit).out == f"already released: 1.0.0 is {merged[:12]}"
    assert tags(remote) == {"1.0.0": merged}


def test_changed_manifests_are_released_at_the_given_commit(remote: Remote, pipeline: Path, delivery: Delivery) -> None:
    merged = pin_in_prod(remote, "1")
    release(pipeline)
    drain, _ = remote.merge("A longer drain", "base/notes.md"), remote.merge("Another change", "base/other.md")
    assert "--same-image --commit COMMIT" in delivery("release", *SIGNED, "--same-image").err
    assert delivery("release", *SIGNED, "--same-image", "--commit", drain).out == f"released 1.1.0: {drain[:12]} with sha-{'1' * 40}"
    assert tags(remote) == {"1.0.0": merged, "1.1.0": drain}
    assert release(pipeline) == f"already released: 1.0.0 is {merged[:12]}"


def test_two_promotions_released_in_any_order_end_with_the_newer_one(remote: Remote, pipeline: Path) -> None:
    older = pin_in_prod(remote, "1")
    newer = pin_in_prod(remote, "2")
    assert release(pipeline, older).startswith(f"superseded by {newer[:12]}, which pins another image on main")
    assert release(pipeline, newer).startswith("released 1.0.0: ")
    assert release(pipeline, older) == f"superseded by 1.0.0: {older[:12]} is not tagged"
    assert tags(remote) == {"1.0.0": newer}


@pytest.mark.parametrize("seed", range(3))
def test_concurrent_runs_never_tag_an_older_promotion_last(remote: Remote, pipeline: Path, seed: int) -> None:
    merged = [pin_in_prod(remote, image) for image in "123"]
    remote.merge("A longer drain", "base/notes.md")
    order = random.Random(seed).sample(merged, 3)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda commit: release(pipeline, commit), order))
    assert list(tags(remote).values())[-1] == merged[-1]


def test_an_older_promotion_loses_a_race(remote: Remote, pipeline: Path) -> None:
    older = pin_in_prod(remote, "1")
    # While it is being tagged, a newer promotion is merged and released.
    midway, wait = remote.bare / "midway", remote.bare / "wait"
    wait.touch()
    remote.hook("pre-receive", f"[ -e {midway} ] && exit 0; touch {midway}; while [ -e {wait} ]; do sleep 0.05; done")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(release, remote.clone("slow"), older)
        while not midway.exists():
            assert not slow.done(), slow.result()
            time.sleep(0.05)
        newer = pin_in_prod(remote, "2")
        assert release(pipeline, newer).startswith("released 1.0.0")
        wait.unlink()
        assert slow.result() == f"superseded by 1.0.0: {older[:12]} is not tagged"
    assert tags(remote) == {"1.0.0": newer}


def test_a_rollback_is_released_without_commits_merged_after_it(remote: Remote, pipeline: Path) -> None:
    pin_in_prod(remote, "1")
    release(pipeline)
    pin_in_prod(remote, "2")
    release(pipeline)
    back = rollback(remote)
    remote.merge("A longer drain", "base/notes.md")
    assert release(pipeline) == f"released 1.2.0: {back[:12]} with sha-{'1' * 40}"


def test_a_promotion_rolled_back_before_its_release_is_never_released(remote: Remote, pipeline: Path) -> None:
    good = pin_in_prod(remote, "1")
    release(pipeline)
    mistake = pin_in_prod(remote, "2")
    back = rollback(remote)
    assert release(pipeline, back).startswith(f"nothing to release: 1.0.0 has sha-{'1' * 40} already")
    assert release(pipeline, mistake).startswith(f"superseded by {back[:12]}")
    assert tags(remote) == {"1.0.0": good}


def test_only_merge_results_are_released(remote: Remote, pipeline: Path, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    promoted(remote, delivery, github)
    side = git(remote.bare, "rev-parse", "main^2")
    said = delivery("release", *SIGNED, "--commit", side)
    assert said == (1, "", f"delivery: {side[:12]} is not on main's first-parent line: only merge results are released")
    assert "is not a commit" in delivery("release", *SIGNED, "--commit", "nonesuch").err
    assert tags(remote) == {}


def test_an_image_that_is_not_signed_is_not_released(remote: Remote, pipeline: Path, delivery: Delivery) -> None:
    pin_in_prod(remote, "1")
    said = delivery("release", "--verify", "sh -c 'echo Error: no matching signatures >&2; exit 1'")
    assert (said.code, "is not signed as required: Error: no matching signatures" in said.err) == (1, True)
    assert tags(remote) == {}
    assert "GITHUB_REPOSITORY must be set" in delivery("release", GITHUB_REPOSITORY="").err


def test_the_default_verifies_that_image_yml_of_main_signed_it(remote: Remote, delivery: Delivery, cosign: Path) -> None:
    pin_in_prod(remote, "1")
    assert delivery("release", GITHUB_TOKEN="").code == 0
    asked = (cosign / "asked").read_text().splitlines()
    assert f"https://github.com/{REPOSITORY}/.github/workflows/image.yml@refs/heads/main" in asked
    assert asked[-1] == f"{IMAGE}@sha256:{'1' * 64}"


def test_concurrent_releases_make_one_tag(remote: Remote, pipeline: Path) -> None:
    merged = pin_in_prod(remote, "1")
    with ThreadPoolExecutor() as pool:
        said = set(pool.map(lambda _: release(pipeline), range(4)))
    made = f"released 1.0.0: {merged[:12]} with sha-{'1' * 40}"  # twice, if two runs make the same tag
    assert said - {f"already released: 1.0.0 is {merged[:12]}"} == {made}
    assert tags(remote) == {"1.0.0": merged}


def test_other_tags_are_ignored(remote: Remote, pipeline: Path) -> None:
    for tag in ("v1.9.0", "2.0.0", "1.5.0-rc.1", "nightly"):
        git(remote.work, "tag", tag)
        git(remote.work, "push", "-q", "origin", tag)
    pin_in_prod(remote, "1")
    assert release(pipeline).startswith("released 1.0.0: ")


def test_a_tag_outside_main_only_affects_the_next_version(remote: Remote, pipeline: Path) -> None:
    pin_in_prod(remote, "1")
    release(pipeline)
    git(remote.work, "checkout", "-q", "--detach")
    git(remote.work, "commit", "-q", "--allow-empty", "-m", "An urgent repair of 1.0.0")
    git(remote.work, "tag", "-a", "-m", "repair", "1.0.1")
    git(remote.work, "push", "-q", "origin", "1.0.1")
    git(remote.work, "checkout", "-q", "main")
    merged = pin_in_prod(remote, "2")
    assert release(pipeline) == f"released 1.1.0: {merged[:12]} with sha-{'2' * 40}"
