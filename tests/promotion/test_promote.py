"""`promote` opens a pull request that gives prod the image of dev. If a gate fails, nothing is changed."""

import re
from pathlib import Path

import pytest
from bump.delivery_process import Delivery, Outcome
from bump.repositories import Remote, git
from copied_tree import editor
from promotion.conftest import SIGNED, bump, merge_promotion, promoted
from promotion.github_stub import REPOSITORY, GitHubStub

from delivery.go_tools import built

PROD = "overlays/prod/kustomization.yaml"
NOT_SIGNED = ("--verify", "sh -c 'echo Error: no matching signatures >&2; exit 1'")


def refused(said: Outcome, why: str, remote: Remote) -> None:
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("delivery: ")
    assert why in said.err
    assert said.err.count("\n") == 0
    assert git(remote.bare, "branch", "--list", "promote/*") == ""


def test_the_pull_request_gives_prod_the_image_of_dev_and_describes_the_rollout(
    remote: Remote, process: Delivery, github: GitHubStub, bumped: str
) -> None:
    github.add_status(remote.head, "success", 45)
    said = process("promote", *SIGNED)
    assert said == Outcome(0, f"https://github.com/{REPOSITORY}/pull/1", "")
    [pull] = github.pulls
    assert (pull["base"], pull["head"], pull["title"]) == ("main", f"promote/{bumped[:12]}", f"prod: promote {bumped[:12]}")
    assert git(remote.bare, "diff", "--name-only", "main", pull["head"]) == PROD
    change = git(remote.bare, "diff", "-U0", "main", pull["head"]).splitlines()
    assert [line.strip("+ ") for line in change if line.startswith("+ ")] == [
        f"newName: ghcr.io/{REPOSITORY}",
        f"newTag: sha-{bumped}",
        f"digest: sha256:{bumped[:4] * 16}",
    ]
    assert "Placeholder:" not in git(remote.bare, "show", f"{pull['head']}:{PROD}")
    assert "- restarts llm-api: 2 of 3 to 5 of 6 serving, at most 6 x 42 min, needs no spare GPU" in pull["body"]
    assert "- runs Job/llm-api-smoke again, at most 5 min" in pull["body"]
    assert f"+        image: ghcr.io/{REPOSITORY}:sha-{bumped}@sha256:" in pull["body"]
    assert "Healthy in dev since " in pull["body"]


def test_the_pull_request_lists_commits_in_and_outside_the_image(
    remote: Remote, pipeline: Path, delivery: Delivery, github: GitHubStub, bumped: str
) -> None:
    promoted(remote, delivery, github)
    assert delivery("release", *SIGNED).code == 0
    code = remote.merge("A faster sampler", "apps/llm-api/sampler.py")
    remote.merge("A longer drain", "base/notes.md")
    bump(pipeline, code)
    github.add_status(remote.head, "success", 45)
    assert delivery("promote", *SIGNED).code == 0
    image, around = github.pulls[-1]["body"].split("### Commits in the image")[1].split("### Commits outside the image")
    assert "A faster sampler" in image
    assert "Say something else" not in image, "prod already has it"
    assert "A longer drain" in around
    assert "A faster sampler" not in around


def test_a_second_run_updates_the_pull_request(remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    github.add_status(remote.head, "success", 45)
    first, branch = delivery("promote", *SIGNED), f"promote/{bumped[:12]}"
    merged = remote.merge("A runbook", "docs/runbook.md")
    assert delivery("promote", *SIGNED) == first
    assert len(github.pulls) == 1
    assert git(remote.bare, "rev-parse", f"{branch}~1") == merged
    merge_promotion(remote, github)
    assert delivery("promote", *SIGNED).out == "already promoted: overlays/prod has the image of overlays/dev"


def test_commits_of_a_reviewer_are_not_overwritten(remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    github.add_status(remote.head, "success", 45)
    delivery("promote", *SIGNED)
    branch = github.pulls[-1]["head"]
    git(remote.work, "fetch", "-q", "origin", branch)
    git(remote.work, "checkout", "-q", "--detach", "FETCH_HEAD")
    (remote.work / "overlays/prod/notes.md").write_text("a reviewer's")
    git(remote.work, "add", "-A")
    for amend in ((), ("--amend",)):
        git(remote.work, "commit", "-q", *amend, "--allow-empty", "-m", "Fewer replicas")
        git(remote.work, "push", "-q", "--force", "origin", f"HEAD:{branch}")
        theirs = git(remote.work, "rev-parse", "HEAD")
        said = delivery("promote", *SIGNED)
        assert (said.code, f"{branch} has other commits ({theirs[:7]} by test)" in said.err) == (1, True), said
        assert git(remote.bare, "rev-parse", branch) == theirs
        git(remote.work, "reset", "-q", "--soft", "HEAD~2" if not amend else "HEAD")


def test_a_concurrent_push_is_not_overwritten(
    remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.add_status(remote.head, "success", 45)
    delivery("promote", *SIGNED)
    branch, main = github.pulls[-1]["head"], remote.head
    remote.merge("A runbook", "docs/runbook.md")
    # After promote has read the branch, and while it renders the description, another push arrives.
    between = f"git -C {remote.bare} update-ref refs/heads/{branch} {main}"
    tools = remote.bare.parent / "tools"
    tools.mkdir()
    (tools / "kustomize").write_text(f'#!/bin/sh\n{between}\nexec {built() / "kustomize"} "$@"\n')
    (tools / "kustomize").chmod(0o755)
    monkeypatch.setattr("delivery.cli.images.built", lambda: tools)
    said = delivery("promote", *SIGNED)
    assert (said.code, said.err) == (
        1,
        f"delivery: another push changed {branch} at the same time: check the branch, then run this again",
    )
    assert git(remote.bare, "rev-parse", branch) == main


def test_commit_subjects_are_inert_text(remote: Remote, pipeline: Path, delivery: Delivery, github: GitHubStub) -> None:
    bump(pipeline, remote.merge("An image", "apps/llm-api/app.py"))
    promoted(remote, delivery, github)
    assert delivery("release", *SIGNED).code == 0
    first = remote.merge("Fixes #12 and org/repo#13, says @org/team: ``` <b>bold</b> `x`", "apps/llm-api/app.py")
    remote.merge("``` " + "@somebody " * 300, "base/notes.md")
    bump(pipeline, first)
    github.add_status(remote.head, "success", 45)
    assert delivery("promote", *SIGNED).code == 0
    body = github.pulls[-1]["body"]
    assert not re.search(r"[#@](12|13|org|somebody)", body)
    assert "- ```` Fixes #\u200b12 and org/repo#\u200b13, says @\u200borg/team: ``` <b>bold</b> `x` ```` (" in body
    assert max(len(line) for line in body.partition("### Rendered diff")[0].splitlines()) < 250


def test_a_fence_in_the_rendered_diff_does_not_end_its_block(
    remote: Remote, pipeline: Path, delivery: Delivery, github: GitHubStub, bumped: str
) -> None:
    promoted(remote, delivery, github)
    delivery("release", *SIGNED)
    editor(remote.work)("base/deployment.yaml", 'image-pull-seconds: "300"', 'image-pull-seconds: "300"\n    a/b: "````"')
    bump(pipeline, remote.merge("Another image", "apps/llm-api/app.py"))
    github.add_status(remote.head, "success", 45)
    assert delivery("promote", *SIGNED).code == 0
    rendered = github.pulls[-1]["body"].partition("### Rendered diff\n")[2]
    assert "+    a/b: '````'" in rendered
    assert rendered.startswith("`````diff\n")
    assert "\n`````\n" in rendered


def test_all_pages_of_statuses_are_read(remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    github.add_status(remote.head, "success", 45)
    for _ in range(250):
        github.add_status(remote.head, "success", 10, context="ci/required")
    assert delivery("promote", *SIGNED).code == 0


def test_an_image_that_is_not_signed_is_refused(remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    github.add_status(remote.head, "success", 45)
    refused(delivery("promote", *NOT_SIGNED), "is not signed as required: Error: no matching signatures", remote)
    refused(delivery("promote", "--verify", "no-such-cosign verify"), "no-such-cosign is not installed", remote)


def test_a_placeholder_is_refused(remote: Remote, delivery: Delivery) -> None:
    refused(delivery("promote", *SIGNED), "overlays/dev pins 'dev', which no bump has written", remote)


def test_an_image_without_a_status_of_dev_is_refused(remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    refused(delivery("promote", *SIGNED), "llm-api-dev has reported no status for the 1 commits", remote)
    github.add_status(remote.head, "pending", 45)
    github.add_status(remote.head, "success", 45, context="ci/required")
    github.add_status(git(remote.bare, "rev-parse", "main~1"), "success", 45)  # that was the image before
    refused(delivery("promote", *SIGNED), "llm-api-dev has reported no status for the 1 commits", remote)


@pytest.mark.parametrize("state", ["failure", "error"])
def test_a_failed_smoke_test_is_refused_until_a_later_one_passed_for_long_enough(
    remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str, state: str
) -> None:
    github.add_status(remote.head, "success", 90)
    github.add_status(remote.head, state, 40)
    refused(delivery("promote", *SIGNED), f"llm-api-dev reported {state} for {remote.head[:12]} 40 min ago", remote)
    remote.merge("Put it right", "base/notes.md")
    github.add_status(remote.head, "success", 20)
    refused(delivery("promote", *SIGNED), "llm-api-dev has been healthy for 20 min, less than 30 min", remote)
    assert delivery("promote", *SIGNED, "--soak", "15m").code == 0


def test_a_separate_status_of_the_smoke_test_counts_too(remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    github.add_status(remote.head, "success", 45, context="kustomization/llm-api-dev/5a1ca9b0")  # as Flux names them
    github.add_status(remote.head, "failure", 40, context="kustomization/llm-api-dev-smoke/5a1ca9b0")
    refused(delivery("promote", *SIGNED), "llm-api-dev reported failure", remote)


def test_the_soak_counts_from_the_first_success_of_the_image(remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str) -> None:
    github.add_status(remote.head, "success", 50)
    remote.merge("A note", "base/notes.md")
    github.add_status(remote.head, "success", 5, context="kustomization/llm-api-dev/5a1ca9b0")  # as Flux names it
    assert delivery("promote", *SIGNED, "--soak", "45m").code == 0


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"GITHUB_TOKEN": ""}, "GITHUB_TOKEN must be set"),
        ({"GITHUB_TOKEN": "wrong"}, "GitHub returned 401 for GET commits/"),
        ({"GITHUB_API_URL": "http://127.0.0.1:9"}, "http://127.0.0.1:9 is unreachable"),
    ],
)
def test_a_failing_github_is_reported_in_one_line(
    remote: Remote, delivery: Delivery, bumped: str, environment: dict[str, str], why: str
) -> None:
    said = delivery("promote", *SIGNED, **environment)
    refused(said, why, remote)
    assert "wrong" not in said.err


def test_the_default_verifies_that_image_yml_of_main_signed_it(
    remote: Remote, delivery: Delivery, github: GitHubStub, bumped: str, cosign: Path
) -> None:
    github.add_status(remote.head, "success", 45)
    assert delivery("promote").code == 0
    assert (cosign / "asked").read_text().splitlines() == [
        "verify",
        "--certificate-identity",
        f"https://github.com/{REPOSITORY}/.github/workflows/image.yml@refs/heads/main",
        "--certificate-oidc-issuer",
        "https://token.actions.githubusercontent.com",
        f"ghcr.io/{REPOSITORY}@sha256:{bumped[:4] * 16}",
    ]
