"""Runs LangChain's standard tests: each is a capability. Those that need a model that chooses tools well are skipped, with the reason."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from reporting import client

# One asynchronous client serves all event loops, so the tests share one.
FOLDER = Path(__file__).parent
ALONE = ("-c", os.devnull, "--rootdir", str(FOLDER), "--confcutdir", str(FOLDER))  # without the repository's own settings
OPTIONS = (
    *ALONE,
    "--asyncio-mode=auto",
    "-o",
    "asyncio_default_test_loop_scope=session",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:terminal",
    "-s",
)
NO_SERVER = "a snapshot of langchain-openai's own repository; no server takes part"
WEAK_MODEL = "the model of this run is too small to choose a tool, a key or the end of a string by itself"
SKIPPED = {
    "test_serdes": NO_SERVER,
    "test_agent_loop": WEAK_MODEL,
    "test_json_mode": WEAK_MODEL,
    "test_tool_choice": WEAK_MODEL,
    "test_unicode_tool_call_integration": WEAK_MODEL,
}


class Outcomes:
    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        name = report.nodeid.partition("::")[2].replace("::", ".")
        reason = str(report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else report.longrepr or "")
        line = {"capability": name, "outcome": report.outcome}
        print(json.dumps(line | ({"reason": reason[-400:]} if report.outcome != "passed" else {})), flush=True)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            if reason := SKIPPED.get(item.originalname):
                item.add_marker(pytest.mark.skip(reason=reason))


client("langchain-openai")
os.environ["LANGSMITH_TRACING"] = "false"
pytest.main([str(FOLDER / "standard.py"), *OPTIONS], plugins=[Outcomes()])
