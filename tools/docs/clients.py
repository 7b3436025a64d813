"""The tables of clients, from the results of `make clients-all`."""

import json
from pathlib import Path
from typing import Any

from llm_api.markdown import table

RESULTS = Path(__file__).parents[2] / "tests/clients/results.json"
COLUMNS = ("chat", "stream", "structured output", "tools", "embeddings", "models", "errors")
WORDS = {"passed": "yes", "failed": "**no**", "skipped": "–"}
STANDARD = "langchain"  # each of LangChain's standard tests is a capability
UI_REQUESTS = "ui_requests"


def clients_tables() -> str:
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    apis = {name: result for name, result in results.items() if name not in {STANDARD, UI_REQUESTS}}
    parts = [_capabilities(apis), _reasons(apis)]
    if UI_REQUESTS in results:
        parts += ["## Chat UIs and agents", "The requests that they send by default, recorded or built as their code does.", ""]
        parts.append(_by_name(results[UI_REQUESTS]))
    if STANDARD in results:
        parts += ["## LangChain's standard tests", _standard(results[STANDARD]), _reasons({STANDARD: results[STANDARD]})]
    return "\n\n".join(part for part in parts if part)


def _capabilities(results: dict[str, Any]) -> str:
    rows = [
        (
            f"{result['title']}{' *' if result['fast'] else ''}",
            result["version"],
            *(WORDS.get(result["outcomes"].get(column, ""), "–") for column in COLUMNS),
            "; ".join(_other(name, outcome) for name, outcome in result["outcomes"].items() if name not in COLUMNS),
        )
        for result in sorted(results.values(), key=lambda result: (not result["fast"], result["title"].lower()))
    ]
    return table(("Client", "Version", *COLUMNS, "others"), rows)


def _other(name: str, outcome: str) -> str:
    return name if outcome == "passed" else f"{name}: {WORDS[outcome]}"


def _by_name(result: dict[str, Any]) -> str:
    return table(("Client", "Served"), [(name, WORDS[outcome]) for name, outcome in sorted(result["outcomes"].items())])


def _standard(result: dict[str, Any]) -> str:
    outcomes = list(result["outcomes"].values())
    counts = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in WORDS if outcome in outcomes)
    return f"`langchain-tests` for `ChatOpenAI` of langchain-openai {result['version']}: {counts}."


def _reasons(results: dict[str, Any]) -> str:
    """Why something failed or was skipped. Tests with the same reason share a row."""
    named: dict[tuple[str, str], list[str]] = {}
    for result in results.values():
        for capability, reason in result["reasons"].items():
            named.setdefault((result["title"], _line(reason)), []).append(capability.rpartition(".")[2])
    rows = [(title, ", ".join(sorted(capabilities)), reason) for (title, reason), capabilities in sorted(named.items())]
    return table(("Client", "Test", "Why it did not run or pass"), rows) if rows else ""


def _line(text: str) -> str:
    return " ".join(text.removeprefix("Skipped: ").split()).replace("|", "\\|").replace("<", "&lt;")
