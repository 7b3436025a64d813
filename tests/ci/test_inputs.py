"""A suite is left out only if all its inputs are the same as when it passed."""

import subprocess
from pathlib import Path

import pytest

from tools.ci.inputs import Inputs, InputsUnknown, fingerprint
from tools.ci.suites import CLUSTER, PROXY

ENVIRONMENT = {"HOME": "/root", "NUM_THREADS": "2", "JOB_NUMBER": "17"}


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path, file: str, text: str) -> None:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    root.mkdir()
    git(root, "init", "--quiet")
    commit(root, "proxy/settings.py", "NUM_THREADS = 1")
    commit(root, ".gitignore", "build/")
    return root


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "up").write_text("#!/bin/sh")
    return tmp_path / "cluster"


def of_proxy(root: Path, **environment: str) -> str:
    return fingerprint(PROXY, root, ENVIRONMENT | environment, None)


def test_the_same_inputs_give_the_same_fingerprint(root: Path) -> None:
    assert of_proxy(root) == of_proxy(root)


@pytest.mark.parametrize("file", ["proxy/settings.py", "proxy/new.py", "pyproject.toml", "requirements/dev.txt", ".ci/run"])
def test_a_changed_or_new_file_changes_it(root: Path, file: str) -> None:
    before = of_proxy(root)
    commit(root, file, "NUM_THREADS = 3")
    assert of_proxy(root) != before


def test_a_file_that_becomes_executable_changes_it(root: Path) -> None:
    before = of_proxy(root)
    (root / "proxy/settings.py").chmod(0o755)
    git(root, "commit", "--quiet", "--all", "--message", "mode")
    assert of_proxy(root) != before


@pytest.mark.parametrize("file", ["docs/proxy.md", "components/smoke/job.yaml", "tests/cluster/test_trouble.py"])
def test_an_unrelated_file_does_not_change_it(root: Path, file: str) -> None:
    before = of_proxy(root)
    commit(root, file, "NUM_THREADS = 3")
    assert of_proxy(root) == before


@pytest.mark.parametrize("file", ["proxy/settings.py", "docs/new.md"])
def test_a_working_tree_with_changed_or_untracked_files_has_none(root: Path, file: str) -> None:
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text("not committed")
    with pytest.raises(InputsUnknown, match=file):
        of_proxy(root)


def test_ignored_build_output_is_no_input(root: Path) -> None:
    before = of_proxy(root)
    (root / "build").mkdir()
    (root / "build" / "output").write_text("x")
    assert of_proxy(root) == before


def test_variables_that_the_repository_names_or_tools_read_are_inputs_and_others_are_not(root: Path) -> None:
    before = of_proxy(root)
    assert of_proxy(root, NUM_THREADS="1") != before
    assert of_proxy(root, PYTEST_ADDOPTS="-k one") != before
    assert of_proxy(root, JOB_NUMBER="18") == before
    assert of_proxy(root, CI_FULL="1") == before


def test_the_machine_is_an_input(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = of_proxy(root)
    monkeypatch.setattr("platform.release", lambda: "another kernel")
    assert of_proxy(root) != before


def test_the_shared_cluster_is_an_input_of_its_suites(root: Path, shared: Path) -> None:
    before = fingerprint(CLUSTER, root, ENVIRONMENT, shared)
    assert fingerprint(CLUSTER, root, ENVIRONMENT, shared) == before
    (shared / "up").write_text("#!/bin/bash")
    assert fingerprint(CLUSTER, root, ENVIRONMENT, shared) != before


def test_the_inputs_of_another_cluster_are_unknown(root: Path) -> None:
    with pytest.raises(InputsUnknown):
        fingerprint(CLUSTER, root, ENVIRONMENT, None)


def test_after_any_error_the_inputs_are_unknown_and_the_reason_is_printed_once(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    no_repository = Inputs(tmp_path / "nowhere", ENVIRONMENT, None)
    assert [no_repository.known(PROXY), no_repository.known(PROXY)] == [None, None]
    assert capsys.readouterr().out.count("make e2e-proxy: runs and is not recorded") == 1
    monkeypatch.setenv("PATH", "/nowhere")  # so that neither git nor dpkg-query is found
    assert Inputs(root, ENVIRONMENT, None).known(PROXY) is None
