"""A complete run, in a small repository with stubs of the suites and of the cluster."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = "127.0.0.1:15000/llm-api@sha256:12"
MAKEFILE = f"""
test smoke clients contract e2e-proxy:
\t@echo $@ ran; exit $${{FAIL_$(subst -,_,$@):-0}}
image:
\t@echo pushing to $$PUSH; echo {DIGEST}; echo "image ok, 0.1 min"
e2e e2e-delivery:
\t@echo $@ with $$IMAGE on $$KUBECONFIG
.venv/.dev:
\t@echo installed
"""
SCRIPTS = {
    "clone/tools/go": "echo go",
    "clone/tools/build": "echo build $1",
    "clone/.venv/bin/llm-api": "echo pulled",
    "shared/cluster/build": "echo built",
    "shared/cluster/base-image": "echo based",
    "shared/cluster/up": 'echo started >>"$HOME/cluster"; echo "export KUBECONFIG=/started"',
    "shared/cluster/down": 'echo stopped >>"$HOME/cluster"',
}
SUITES = ["test", "smoke", "clients", "contract", "e2e-proxy", "image", "e2e", "e2e-delivery"]


@dataclass(frozen=True)
class Place:
    """A folder with a clone, a shared cluster, and a home for caches."""

    folder: Path

    def start(self, **environment: str) -> "subprocess.Popen[str]":
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("CI", "IMAGE", "KUBECONFIG", "MAKE", "PUSH"))
        }
        return subprocess.Popen(
            [sys.executable, "-m", "tools.ci"],
            cwd=self.folder / "clone",
            env=inherited | {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, **environment: str) -> tuple[int, str]:
        process = self.start(**environment)
        output, _ = process.communicate(timeout=60)
        return process.returncode, output

    def commit(self, file: str) -> None:
        (self.folder / "clone" / file).parent.mkdir(parents=True, exist_ok=True)
        with (self.folder / "clone" / file).open("a") as opened:
            opened.write("# NEW\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", file)

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder / "clone", check=True)

    @property
    def cluster(self) -> list[str]:
        """The starts and stops of the cluster, in order."""
        log = self.folder / "cluster"
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name, script in SCRIPTS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    shutil.copytree(ROOT / "tools/ci", tmp_path / "clone/tools/ci", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "clone/Makefile").write_text(MAKEFILE)
    (tmp_path / "clone/.gitignore").write_text("__pycache__/\n.venv/\n")
    place = Place(tmp_path)
    place.git("init", "--quiet")
    place.commit("docs/development.md")
    return place


def minutes(output: str) -> dict[str, str]:
    """The table at the end: the outcome of each make target."""
    rows = [line.split("  ") for line in output.splitlines() if line.startswith("make ")]
    return {row[0].removeprefix("make ").strip(): row[-1].split(":")[0] for row in rows}


def test_everything_runs_with_one_image_on_one_cluster(place: Place) -> None:
    code, output = place.run()
    assert code == 0, output
    assert minutes(output) == dict.fromkeys(SUITES, "passed")
    assert f"e2e with {DIGEST} on /started" in output
    assert f"e2e-delivery with {DIGEST} on /started" in output
    assert place.cluster == ["started", "stopped"]
    assert output.splitlines()[-1].startswith("total")


def test_the_lane_of_the_cluster_helps_the_other_when_its_suites_have_ended(place: Place) -> None:
    waits = "test:\n\t@until [ -e $$HOME/proxy ]; do sleep 0.1; done\ne2e-proxy:\n\t@touch $$HOME/proxy\n"
    others = MAKEFILE.replace("test smoke clients contract e2e-proxy:", "smoke clients contract:")
    (place.folder / "clone/Makefile").write_text(waits + others)
    code, output = place.run()
    assert code == 0, output
    assert minutes(output) == dict.fromkeys(SUITES, "passed")


def test_a_second_run_leaves_out_all_but_the_unit_tests(place: Place) -> None:
    place.run()
    place.commit("docs/proxy.md")
    code, output = place.run()
    assert code == 0, output
    assert minutes(output) == dict.fromkeys(SUITES, "left out") | {"test": "passed"}
    assert place.cluster == ["started", "stopped"]


def test_a_change_runs_the_suites_that_it_concerns(place: Place) -> None:
    place.run()
    place.commit("proxy/nginx.py")
    outcomes = minutes(place.run()[1])
    assert {name for name, outcome in outcomes.items() if outcome == "passed"} == {"test", "e2e-proxy"}


def test_ci_full_and_ci_serial_run_everything_again(place: Place) -> None:
    place.run()
    code, output = place.run(CI_FULL="1", CI_SERIAL="1")
    assert code == 0, output
    assert minutes(output) == dict.fromkeys(SUITES, "passed")


def test_a_failing_suite_fails_the_run_and_the_next_one_tries_it_again(place: Place) -> None:
    code, output = place.run(FAIL_smoke="1")
    assert code == 1 and "Traceback" not in output, output
    outcomes = minutes(output)
    assert outcomes["smoke"] == "FAILED with 2", output
    assert outcomes["contract"] == outcomes["e2e-proxy"] == "not started"
    assert "smoke ran" in output
    code, output = place.run()
    assert code == 0
    assert minutes(output)["smoke"] == "passed"


def test_a_cluster_that_does_not_start_fails_the_run(place: Place) -> None:
    (place.folder / "shared/cluster/up").write_text("#!/bin/sh\nexit 1\n")
    code, output = place.run()
    assert code == 1 and "Traceback" not in output, output
    assert "start the cluster" in output and "FAILED with 1" in output
    assert place.cluster == ["stopped"]


def test_a_cluster_that_was_not_started_is_not_stopped(place: Place) -> None:
    (place.folder / "shared/cluster/build").write_text("#!/bin/sh\nexit 1\n")
    code, output = place.run()
    assert code == 1 and "build the cluster" in output, output
    assert place.cluster == []


def test_the_named_cluster_and_image_are_used_without_a_shared_one_and_never_left_out(place: Place) -> None:
    shutil.rmtree(place.folder / "shared")
    for _ in range(2):
        code, output = place.run(KUBECONFIG="/mine", IMAGE="registry/llm-api@sha256:34")
        assert code == 0, output
        assert "e2e with registry/llm-api@sha256:34 on /mine" in output
        assert minutes(output)["e2e-delivery"] == "passed"


def test_without_any_cluster_the_run_is_refused_before_it_starts(place: Place) -> None:
    shutil.rmtree(place.folder / "shared")
    code, output = place.run()
    assert code == 2
    assert output.startswith(".ci/run: no cluster")
    assert "started" not in output


def test_sigterm_ends_the_run_and_stops_the_cluster(place: Place) -> None:
    (place.folder / "clone/Makefile").write_text(MAKEFILE.replace("@echo $@ with", "@sleep 60; echo $@ with"))
    process = place.start()
    deadline = time.monotonic() + 30
    while not (place.folder / "cache/llm-api/ci/make-e2e.log").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert place.cluster == ["started", "stopped"]
    assert output.splitlines()[-1].endswith("FAILED")
