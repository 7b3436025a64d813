"""The one check that a branch rule requires: it knows which of the others may be left out, and when."""

from typing import Any

LEFT_OUT = {"cluster": "cluster"}
"""Jobs that may be skipped, each with the output of the job `changed` that must be 'false' for it."""


def required(needs: dict[str, dict[str, Any]]) -> list[str]:
    """What does not hold, one line a job; `needs` is GitHub's context of that name. A job that was cancelled or skipped did not pass."""
    if "changed" not in needs:
        return ["changed: not among the jobs, so nothing says what may be left out"]
    told = needs["changed"].get("outputs", {}) if needs["changed"]["result"] == "success" else {}
    return [f"{name}: {job['result']}" for name, job in needs.items() if not _passed(name, job["result"], told)]


def _passed(name: str, result: str, told: dict[str, str]) -> bool:
    return result == "success" or (result == "skipped" and name in LEFT_OUT and told.get(LEFT_OUT[name]) == "false")
