"""Runs `schemathesis run` against a server, in its own process, and reads its reports."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
TESTS = Path(__file__).parents[1]
WITH_KEY = '\n[auth.openapi.ApiKey]\nbearer = "${CONTRACT_API_KEY}"\n'
SECONDS = 1000


@dataclass(frozen=True)
class Case:
    """One request. `checks`: the names of the checks of its response."""

    mode: str
    status: int | None
    is_stream: bool
    checks: frozenset[str]


@dataclass(frozen=True)
class Report:
    exit_code: int
    output: str
    verdict: dict[str, Any]  # of --report json
    cases: list[Case]

    @property
    def failures(self) -> set[str]:
        return {failure["title"] for failure in self.verdict["failures"]}

    def statuses(self, mode: str) -> Counter[int | None]:
        return Counter(case.status for case in self.cases if case.mode == mode)

    @property
    def checks(self) -> frozenset[str]:
        return frozenset().union(*(case.checks for case in self.cases))


def run_schemathesis(url: str, folder: Path, *arguments: str, key: str | None = None) -> Report:
    """`key`: an API key, if the server needs one. Writes reports to `folder`."""
    folder.mkdir(exist_ok=True)
    configuration, verdict, cases = folder / "schemathesis.toml", folder / "verdict.json", folder / "cases.ndjson"
    configuration.write_text(CONFIGURATION.read_text(encoding="utf-8") + (WITH_KEY if key else ""), encoding="utf-8")
    reports = ["--report", "json,ndjson", "--report-json-path", str(verdict), "--report-ndjson-path", str(cases)]
    schemathesis = [str(Path(sys.executable).with_name("schemathesis")), "--no-color", "--config-file", str(configuration)]
    result = subprocess.run(
        [*schemathesis, "run", f"{url}/openapi.json", *reports, *arguments],
        cwd=TESTS,  # where the hooks are found
        env={**os.environ, "CONTRACT_API_KEY": key or ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert verdict.exists(), result.stdout
    return Report(result.returncode, result.stdout, json.loads(verdict.read_text(encoding="utf-8")), list(_cases(cases)))


def _cases(report: Path) -> Iterator[Case]:
    with report.open(encoding="utf-8") as lines:
        for event in map(json.loads, lines):
            recorder = event.get("ScenarioFinished", {}).get("recorder", {})
            for case_id, case in recorder.get("cases", {}).items():
                checks = recorder["checks"].get(case_id, [])
                yield _case(case["value"]["meta"], checks, recorder["interactions"].get(case_id) or {})


def _case(meta: dict[str, Any], checks: list[dict[str, Any]], interaction: dict[str, Any]) -> Case:
    response = interaction.get("response") or {"status_code": None, "headers": {}}
    [content_type] = response["headers"].get("content-type", [""])
    return Case(
        meta["generation"]["mode"],
        response["status_code"],
        content_type.startswith("text/event-stream"),
        frozenset(check["name"] for check in checks),
    )
