"""The table of docs/reference/clients.md, from the last run of `make clients-all`."""

import json
from pathlib import Path
from typing import Any

from llm_api.markdown import table

RESULTS = Path(__file__).parents[2] / "tests/clients/results.json"
MANY = 20  # capabilities of a client that has tests of its own: they are counted


def clients_table() -> str:
    results: list[dict[str, Any]] = json.loads(RESULTS.read_text(encoding="utf-8"))
    rows = [_row(result) for result in results]
    reasons = [line for result in results for line in _reasons(result)]
    return "\n".join([table(["Client", "Version", "Works"], rows), "", "Not applicable:", "", *reasons])


def _row(result: dict[str, Any]) -> list[str]:
    outcomes: dict[str, str] = result["outcomes"]
    passed = [name for name, outcome in outcomes.items() if outcome == "passed"]
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    works = f"{len(passed)} of its {len(passed) + len(failed)} tests that apply" if len(outcomes) > MANY else ", ".join(passed)
    return [result["title"], result["version"], works + (f". Does not work: {', '.join(failed)}" if failed else "")]


def _reasons(result: dict[str, Any]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, outcome in result["outcomes"].items():
        if outcome == "skipped":
            reason = result["reasons"].get(name, "").removeprefix("Skipped: ")
            by_reason.setdefault(reason, []).append(name.rpartition(".")[2])
    return [f"- {result['title']}: {', '.join(dict.fromkeys(names))}. {reason}" for reason, names in by_reason.items()]
