"""`status` shows what the cluster of each environment tracks, and the image there."""

import re

from bump.delivery_process import Delivery
from bump.repositories import Remote
from promotion.conftest import SIGNED, promoted
from promotion.github_stub import GitHubStub


def test_status_follows_what_the_clusters_track(
    remote: Remote, delivery: Delivery, process: Delivery, github: GitHubStub, bumped: str
) -> None:
    dev, prod = process("status").out.splitlines()
    assert re.fullmatch(rf"dev +main +ghcr.io/org/llm-api:sha-{bumped}@sha256:\w+, since .* UTC \(0 h \d min ago\)", dev)
    assert re.fullmatch(r"prod +no release yet +no image yet", prod)
    promoted(remote, delivery, github)
    assert delivery("status").out.splitlines()[1].endswith("no image yet"), "main has it, and prod does not track main"
    delivery("release", *SIGNED)
    assert re.match(rf"prod +1.0.0 +ghcr.io/org/llm-api:sha-{bumped}@sha256:\w+, since ", delivery("status").out.splitlines()[1])


def test_an_overlay_without_a_cluster_does_not_hide_others(remote: Remote, delivery: Delivery) -> None:
    staging = remote.work / "overlays/a-staging/kustomization.yaml"
    staging.parent.mkdir()
    staging.write_text((remote.work / "overlays/dev/kustomization.yaml").read_text())
    (remote.work / "overlays/notes.md").write_text("no overlay")
    remote.merge("An overlay before its cluster")
    said = delivery("status")
    assert said.code == 0, said.err
    assert [re.split(" {2,}", line) for line in said.out.splitlines()] == [
        ["a-staging -", "not synced by any cluster"],
        ["dev", "main", "no image yet, since " + said.out.splitlines()[1].partition("since ")[2]],
        ["prod", "no release yet", "no image yet"],
    ]
    assert delivery("promote", *SIGNED, "--to", "a-staging").err.startswith("delivery: overlays/dev pins 'dev'")


def test_a_cluster_with_flux_only_counts(remote: Remote, delivery: Delivery) -> None:
    for environment in ("dev", "prod"):
        for file in (remote.work / f"clusters/{environment}/argocd").iterdir():
            file.unlink()
    remote.merge("Flux alone")
    dev, prod = delivery("status").out.splitlines()
    assert re.match(r"dev +main +no image yet", dev)
    assert re.fullmatch(r"prod +no release yet +no image yet", prod)
