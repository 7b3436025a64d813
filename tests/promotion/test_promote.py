"""`promote` opens a pull request that gives prod what dev has; every gate that is not passed leaves everything as it was."""

import os

import pytest
from bump.repositories import Remote, git
from promotion.conftest import Delivery, Said, bump, merge_promotion
from promotion.github_stand_in import REPOSITORY, GitHubStandIn

PROD = "overlays/prod/kustomization.yaml"
SIGNED = ("--verify", "true")  # stands in for cosign; make e2e-delivery has the real one
NOT_SIGNED = ("--verify", "sh -c 'echo Error: no matching signatures >&2; exit 1'")


def refused(said: Said, why: str, remote: Remote) -> None:
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("delivery: ")
    assert why in said.err
    assert said.err.count("\n") == 0
    assert git(remote.bare, "branch", "--list", "promote/*") == ""


def test_the_pull_request_gives_prod_the_image_of_dev_and_says_what_it_will_do(
    remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str
) -> None:
    github.says(remote.head, "success", 45)
    said = delivery("promote", *SIGNED)
    assert said == Said(0, f"https://github.com/{REPOSITORY}/pull/1", "")
    [pull] = github.pulls
    assert (pull["base"], pull["head"], pull["title"]) == ("main", f"promote/{bumped[:12]}", f"prod: promote {bumped[:12]}")
    assert git(remote.bare, "diff", "--name-only", "main", pull["head"]) == PROD
    change = git(remote.bare, "diff", "-U0", "main", pull["head"]).splitlines()
    assert [line.strip("+ ") for line in change if line.startswith("+ ")] == [
        f"newName: ghcr.io/{REPOSITORY}",
        f"newTag: sha-{bumped}",
        f"digest: sha256:{bumped[:4] * 16}",
    ]
    assert "- restarts llm-api: 2 of 3 serving, at most 3 x 42 min, no spare GPU needed" in pull["body"]
    assert f"+        image: ghcr.io/{REPOSITORY}:sha-{bumped}@sha256:" in pull["body"]
    assert "Well in dev since " in pull["body"]


def test_it_says_what_comes_with_the_image_and_around_it(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    github.says(remote.head, "success", 45)
    delivery("promote", *SIGNED)
    merge_promotion(remote, github)
    assert delivery("release").code == 0
    code = remote.merge("A faster sampler", "apps/llm-api/sampler.py")
    remote.merge("A longer drain", "base/notes.md")
    bump(delivery, code)
    github.says(remote.head, "success", 45)
    assert delivery("promote", *SIGNED).code == 0
    image, around = github.pulls[-1]["body"].split("### In the image")[1].split("### Around it")
    assert "A faster sampler" in image
    assert "Say something else" not in image, "prod has it already"
    assert "A longer drain" in around
    assert "A faster sampler" not in around


def test_running_it_again_renews_the_pull_request(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    github.says(remote.head, "success", 45)
    first, branch = delivery("promote", *SIGNED), f"promote/{bumped[:12]}"
    merged = remote.merge("A runbook", "docs/runbook.md")
    assert delivery("promote", *SIGNED) == first
    assert len(github.pulls) == 1
    assert git(remote.bare, "rev-parse", f"{branch}~1") == merged
    merge_promotion(remote, github)
    assert delivery("promote", *SIGNED).out == "promoted already: overlays/prod has the image of overlays/dev"


def test_an_image_that_is_not_signed_is_refused(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    github.says(remote.head, "success", 45)
    refused(delivery("promote", *NOT_SIGNED), "is not signed as it must be: Error: no matching signatures", remote)
    refused(delivery("promote", "--verify", "no-such-cosign verify"), "no-such-cosign is not installed", remote)


def test_a_placeholder_is_refused(remote: Remote, delivery: Delivery) -> None:
    refused(delivery("promote", *SIGNED), "overlays/dev pins 'dev', which no bump has written", remote)


def test_an_image_that_dev_has_not_reported_is_refused(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    refused(delivery("promote", *SIGNED), "llm-api-dev has said nothing of the 1 commits", remote)
    github.says(remote.head, "pending", 45)
    github.says(remote.head, "success", 45, context="ci/required")
    github.says(git(remote.bare, "rev-parse", "main~1"), "success", 45)  # that was the image before
    refused(delivery("promote", *SIGNED), "llm-api-dev has said nothing of the 1 commits", remote)


@pytest.mark.parametrize("state", ["failure", "error"])
def test_a_failed_smoke_test_is_refused_until_a_later_one_passed_for_long_enough(
    remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str, state: str
) -> None:
    github.says(remote.head, "success", 90)
    github.says(remote.head, state, 40)
    refused(delivery("promote", *SIGNED), f"llm-api-dev says {state} of {remote.head[:12]}, 40 min ago", remote)
    remote.merge("Put it right", "base/notes.md")
    github.says(remote.head, "success", 20)
    refused(delivery("promote", *SIGNED), "llm-api-dev is well since 20 min ago, and 30 min is asked for", remote)
    assert delivery("promote", *SIGNED, "--soak", "15m").code == 0


def test_a_smoke_test_that_reports_by_itself_counts_too(remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str) -> None:
    github.says(remote.head, "success", 45, context="kustomization/llm-api-dev/5a1ca9b0")  # as Flux names them
    github.says(remote.head, "failure", 40, context="kustomization/llm-api-dev-smoke/5a1ca9b0")
    refused(delivery("promote", *SIGNED), "llm-api-dev says failure", remote)


def test_the_soak_counts_from_the_first_success_of_the_image(
    remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str
) -> None:
    github.says(remote.head, "success", 50)
    remote.merge("A note", "base/notes.md")
    github.says(remote.head, "success", 5, context="kustomization/llm-api-dev/5a1ca9b0")  # as Flux names it
    assert delivery("promote", *SIGNED, "--soak", "45m").code == 0


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN must be set"),
        ({"GITHUB_TOKEN": "wrong"}, "GitHub answers 401 to GET commits/"),
        ({"GITHUB_API_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_a_github_that_does_not_answer_is_one_line(
    remote: Remote, delivery: Delivery, bumped: str, environment: dict[str, str], why: str
) -> None:
    said = delivery("promote", *SIGNED, **environment)
    refused(said, why, remote)
    assert "wrong" not in said.err


def test_the_default_verifies_that_image_yml_of_main_signed_it(
    remote: Remote, delivery: Delivery, github: GitHubStandIn, bumped: str
) -> None:
    cosign = remote.bare.parent / "bin/cosign"
    cosign.parent.mkdir()
    cosign.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$(dirname "$0")/asked"\n')
    cosign.chmod(0o755)
    github.says(remote.head, "success", 45)
    assert delivery("promote", PATH=f"{cosign.parent}:{os.environ['PATH']}").code == 0
    assert (cosign.parent / "asked").read_text().splitlines() == [
        "verify",
        "--certificate-identity",
        f"https://github.com/{REPOSITORY}/.github/workflows/image.yml@refs/heads/main",
        "--certificate-oidc-issuer",
        "https://token.actions.githubusercontent.com",
        f"ghcr.io/{REPOSITORY}@sha256:{bumped[:4] * 16}",
    ]
