"""The workflows only call make, have minimal permissions, and match what the rest of the repository expects."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from copied_tree import ROOT

from delivery.checks.changed import SKIPPABLE
from delivery.environments import pin_file
from delivery.promote.signature import WORKFLOW

FOLDER = ROOT / ".github/workflows"
FILES = sorted(FOLDER.glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z][\w-]*):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
USES = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
Document = dict[Any, Any]


def load(path: Path) -> Document:
    document: Document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document | {"on": document[True]}  # YAML 1.1 reads the key `on` as true


def steps(document: Document) -> Iterator[Document]:
    for job in document["jobs"].values():
        yield from job["steps"]


def commands_that_are_not_one_target(document: Document) -> list[str]:
    runs = [step["run"] for step in steps(document) if "run" in step]
    return [run for run in runs if not (found := re.fullmatch(r"make ([a-z][a-z-]*)", run)) or found[1] not in TARGETS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_run_is_one_make_target_that_exists(path: Path) -> None:
    assert commands_that_are_not_one_target(load(path)) == []


@pytest.mark.parametrize(
    "run",
    [
        "make lint && make types",
        "make no-such-target",
        "pip install uv",
        "make lint\nmake types",
        "make bump IMAGE=${{ vars.IMAGE }}",
        "make -n lint",
    ],
)
def test_a_run_that_is_not_one_target_is_found(run: str) -> None:
    document = load(FOLDER / "ci.yml")
    document["jobs"]["lint"]["steps"].append({"run": run})
    assert commands_that_are_not_one_target(document) == [run]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(path: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in path.read_text(encoding="utf-8").splitlines() if re.match(r"[- ]*uses: ", line)]
    assert used
    assert [line for line in used if not USES.fullmatch(line)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_permission_has_a_reason_in_a_comment(path: Path) -> None:
    document, text = load(path), path.read_text(encoding="utf-8")
    assert document["permissions"] == {}
    grants = re.findall(r"^ +(?:permission-)?([a-z-]+): (?:read|write)\b(.*)$", text, re.MULTILINE)
    assert grants
    assert [name for name, reason in grants if not re.fullmatch(r" # \S.{3,}", reason)] == []
    assert all(set(job["permissions"].values()) <= {"read", "write"} for job in document["jobs"].values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_job_has_a_timeout_and_no_checkout_keeps_a_credential(path: Path) -> None:
    document = load(path)
    assert "group" in document["concurrency"]
    assert all(0 < job["timeout-minutes"] <= 90 for job in document["jobs"].values())
    checkouts = [step["with"] for step in steps(document) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(given["persist-credentials"] is False for given in checkouts)


def test_a_fork_gets_no_secret_and_no_self_hosted_runner() -> None:
    for path in FILES:
        text, triggers = path.read_text(encoding="utf-8"), set(load(path)["on"])
        assert "pull_request_target" not in triggers and "workflow_run" not in triggers
        if "pull_request" in triggers:
            assert "secrets." not in text and "self-hosted" not in text and ": write" not in text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_job_with_a_secret_is_bound_to_an_environment(path: Path) -> None:
    for job in load(path)["jobs"].values():
        assert "secrets." not in str(job) or job["environment"] == "delivery"


def test_the_required_check_needs_every_job_and_lists_the_skippable_ones() -> None:
    jobs = load(FOLDER / "ci.yml")["jobs"]
    assert set(jobs["required"]["needs"]) == set(jobs) - {"required"}
    assert jobs["required"]["if"] == "always()"
    assert {name for name, job in jobs.items() if "if" in job} == {*SKIPPABLE, "required"}
    for name, output in SKIPPABLE.items():
        assert jobs[name]["if"] == f"needs.changed.outputs.{output} == 'true'"
        assert output in jobs["changed"]["outputs"]


def test_no_path_filter_keeps_the_required_check_from_starting() -> None:
    triggers = load(FOLDER / "ci.yml")["on"]
    assert set(triggers) == {"pull_request", "push", "merge_group"}
    assert triggers["pull_request"] is triggers["merge_group"] is None
    assert triggers["push"] == {"branches": ["main"]}


def test_an_image_is_built_for_every_source_and_not_for_a_bump() -> None:
    paths = load(FOLDER / "image.yml")["on"]["push"]["paths"]
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")]
    assert sent
    assert [name for name in sent if not any(fnmatch(name, path) for path in paths)] == []
    assert not any(fnmatch(pin_file("dev"), path) for path in paths)
    assert load(FOLDER / "release.yml")["on"]["push"]["paths"] == [pin_file("prod")]


def test_only_the_trusted_workflow_can_sign_and_it_scans_first() -> None:
    signing = [path for path in FILES if "id-token" in path.read_text(encoding="utf-8")]
    assert [str(path.relative_to(ROOT)) for path in signing] == [WORKFLOW]
    [job] = [job for job in load(signing[0])["jobs"].values() if "id-token" in job["permissions"]]
    runs = [step["run"] for step in job["steps"] if "run" in step]
    assert runs.index("make scan") < runs.index("make sign")
    assert job["if"] == "github.ref == 'refs/heads/main'"
