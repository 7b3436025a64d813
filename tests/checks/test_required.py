"""`make required`: the check in the branch rule passes only if every needed job has passed."""

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


def test_it_passes_if_all_jobs_passed() -> None:
    assert required("true") == (0, "")


def test_the_cluster_may_be_skipped_if_the_change_does_not_concern_it() -> None:
    assert required("false", cluster="skipped") == (0, "")


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped"])
@pytest.mark.parametrize("job", ["lint", "unit", "cluster"])
def test_a_job_that_did_not_pass_is_named(job: str, result: str) -> None:
    assert required("true", **{job: result}) == (1, f"{job}: {result}")


@pytest.mark.parametrize("result", ["failure", "cancelled"])
def test_a_skippable_job_that_ran_must_pass(result: str) -> None:
    assert required("false", cluster=result) == (1, f"cluster: {result}")


def test_nothing_may_be_skipped_if_the_job_changed_failed() -> None:
    assert required("false", changed="failure", cluster="skipped") == (1, "changed: failure\ncluster: skipped")
