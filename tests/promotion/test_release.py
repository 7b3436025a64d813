"""`release` tags main once prod's image changed in it; `status` says what each environment wants then."""

import re
from concurrent.futures import ThreadPoolExecutor

from bump.repositories import Remote, git
from promotion.conftest import Delivery, bump, merge_promotion
from promotion.github_stand_in import GitHubStandIn


def promoted(remote: Remote, delivery: Delivery, github: GitHubStandIn) -> str:
    github.says(remote.head, "success", 45)
    assert delivery("promote", "--verify", "true").code == 0
    return merge_promotion(remote, github)


def tags(remote: Remote) -> list[str]:
    return git(remote.bare, "tag", "--list", "--sort=version:refname").splitlines()


def test_a_promotion_is_tagged_and_main_without_one_is_not(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    assert "pins the placeholder not-promoted" in delivery("release").err
    merged = promoted(remote, delivery, github)
    assert delivery("release").out == f"released 1.0.0: {merged[:12]} with sha-{bumped}"
    assert git(remote.bare, "rev-parse", "1.0.0^{commit}") == merged
    assert git(remote.bare, "cat-file", "-t", "1.0.0") == "tag"
    assert delivery("release").out == f"released already: 1.0.0 is {merged[:12]}"
    remote.merge("A longer drain", "base/notes.md")
    assert delivery("release").out.startswith(f"nothing to release: 1.0.0 has sha-{bumped} already")
    assert tags(remote) == ["1.0.0"]
    assert delivery("release", "--same-image").out.startswith("released 1.1.0: ")


def test_a_reverted_promotion_is_a_release_too(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    promoted(remote, delivery, github)
    delivery("release")
    bump(delivery, remote.merge("A mistake", "apps/llm-api/app.py"))
    promoted(remote, delivery, github)
    delivery("release")
    git(remote.work, "revert", "--no-edit", "-m", "1", "HEAD")
    git(remote.work, "push", "-q", "origin", "main")
    assert delivery("release").out == f"released 1.2.0: {remote.head[:12]} with sha-{bumped}"


def test_releases_at_once_make_one_tag(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    merged = promoted(remote, delivery, github)
    with ThreadPoolExecutor() as pool:
        said = set(pool.map(lambda _: delivery("release").out, range(4)))
    made = f"released 1.0.0: {merged[:12]} with sha-{bumped}"  # twice, when two make the very same tag
    assert said - {f"released already: 1.0.0 is {merged[:12]}"} == {made}
    assert tags(remote) == ["1.0.0"]


def test_other_tags_do_not_count(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    for tag in ("v1.9.0", "2.0.0", "1.5.0-rc.1", "nightly"):
        git(remote.work, "tag", tag)
        git(remote.work, "push", "-q", "origin", tag)
    promoted(remote, delivery, github)
    assert delivery("release").out.startswith("released 1.0.0: ")


def test_the_status_is_what_the_clusters_track(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    dev, prod = delivery("status").out.splitlines()
    assert re.fullmatch(rf"dev +main +ghcr.io/org/llm-api:sha-{bumped}@sha256:\w+, since .* UTC \(0 h 0 min ago\)", dev)
    assert re.fullmatch(r"prod +no release yet +no image yet", prod)
    promoted(remote, delivery, github)
    assert delivery("status").out.splitlines()[1].endswith("no image yet"), "main has it, and prod does not track main"
    delivery("release")
    assert re.match(rf"prod +1.0.0 +ghcr.io/org/llm-api:sha-{bumped}@sha256:\w+, since ", delivery("status").out.splitlines()[1])
