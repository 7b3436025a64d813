"""Runs a client's script, and reads what it says: the client's version, and the outcome of each capability."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from typing import Literal

from clients.environments import command
from clients.registry import Client

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(slots=True)
class Run:
    version: str = ""
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    errors: str = ""  # the end of the script's stderr

    @property
    def failures(self) -> dict[str, str]:
        return {name: self.reasons.get(name, "") for name, outcome in self.outcomes.items() if outcome == "failed"}


def run(client: Client, environment: dict[str, str]) -> Run:
    """Raises CalledProcessError for a script that does not end by itself with 0, and TimeoutExpired."""
    arguments, folder = command(client)
    reporting = {"PYTHONPATH": str(client.path.parent)} if client.kind == "python" else {}
    done = subprocess.run(
        arguments,
        cwd=folder,
        env={**os.environ, **reporting, **environment},
        capture_output=True,
        text=True,
        timeout=client.seconds,
        check=False,
    )
    found = Run(errors=done.stderr[-4000:])
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            _take(found, json.loads(line))
    if done.returncode or not found.outcomes:
        raise AssertionError(f"{client.title} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{found.errors}")
    return found


def _take(found: Run, line: dict[str, str]) -> None:
    if "client" in line:
        found.version = line["version"]
        return
    outcome: Outcome = line["outcome"]  # type: ignore[assignment]
    found.outcomes[line["capability"]] = outcome
    if "reason" in line:
        found.reasons[line["capability"]] = line["reason"]
