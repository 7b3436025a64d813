"""The table of architectures, from the cases of the conformance suite, which `make models` proves."""

from pathlib import Path
from typing import Any

import yaml

from llm_api.markdown import table

CASES = Path(__file__).parents[2] / "apps/llm-api/tests/models/architectures.yaml"
PATHS = {"native": "native, torch, general", "torch": "torch, general", "batched": "general", "one by one": "general, one by one"}


def models_table() -> str:
    architectures: dict[str, Any] = yaml.safe_load(CASES.read_text(encoding="utf-8"))
    rows = [(f"`{name}`", case["models"], _path(case), _variations(case)) for name, case in architectures.items()]
    return table(("Architecture", "Published as", "Path", "Tested variations"), rows)


def _path(case: dict[str, Any]) -> str:
    return f"refused: {case['refused']}" if case.get("refused") else PATHS[case["path"]]


def _variations(case: dict[str, Any]) -> str:
    """Each variation, with its path where that is another one."""
    variations = case.get("variations", {})
    return "; ".join(
        name if _path(case | changes) == _path(case) else f"{name} ({_path(case | changes)})" for name, changes in variations.items()
    )
