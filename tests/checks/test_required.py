"""`make required`: the one check that a branch rule names passes only when everything that had to run has passed."""

import json
import os
import subprocess
import sys

import pytest
from copied_tree import ROOT


def required(cluster_needed: str, **results: str) -> tuple[int, str]:
    jobs = {"changed": "success", "lint": "success", "unit": "success", "cluster": "success"} | results
    outputs = {"changed": {"cluster": cluster_needed}} if jobs["changed"] == "success" else {}
    needs = {name: {"result": result, "outputs": outputs.get(name, {})} for name, result in jobs.items()}
    environment = os.environ | {"NEEDS": json.dumps(needs)}
    done = subprocess.run(
        [sys.executable, "-m", "delivery", "required"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr.strip()


def test_it_passes_when_all_have_passed() -> None:
    assert required("true") == (0, "")


def test_the_cluster_may_be_left_out_when_nothing_there_has_changed() -> None:
    assert required("false", cluster="skipped") == (0, "")


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped"])
@pytest.mark.parametrize("job", ["lint", "unit", "cluster"])
def test_a_job_that_did_not_pass_is_named(job: str, result: str) -> None:
    assert required("true", **{job: result}) == (1, f"{job}: {result}")


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_what_could_be_left_out_must_pass_once_it_runs(result: str) -> None:
    assert required("false", cluster=result) == (1, f"cluster: {result}")


def test_nothing_is_left_out_on_the_word_of_a_job_that_failed() -> None:
    assert required("false", changed="failure", cluster="skipped") == (1, "changed: failure\ncluster: skipped")
