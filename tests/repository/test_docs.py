"""What README and docs/ say is so."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from llm_api.settings import Settings
from llm_api.weights.errors import WeightsError

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("**/*.md"))]
TABLE = [sys.executable, str(ROOT / "tools" / "settings_table.py")]


def test_the_settings_table_is_current() -> None:
    result = subprocess.run([*TABLE, "--check", str(README)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_stale_settings_table_is_told_and_made_current(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(README.read_text(encoding="utf-8").replace("| `PORT` | `8000` |", "| `PORT` | `80` |"), encoding="utf-8")
    check = [*TABLE, "--check", str(page)]
    stale = subprocess.run(check, capture_output=True, text=True, check=False)
    assert stale.returncode == 1
    assert "run `make docs`" in stale.stderr
    subprocess.run([*TABLE, str(page)], check=True)
    assert page.read_text(encoding="utf-8") == README.read_text(encoding="utf-8")


def test_the_settings_table_names_every_variable_with_its_meaning() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| [^|]*\| ([^\n]+) \|$", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(rows) == {name.upper() for name in Settings.model_fields}
    assert all(len(meaning) > 10 for meaning in rows.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_runbook_lists_every_exit_code() -> None:
    listed = set(re.findall(r"^\| (\d+)", (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE))
    failures: list[type[WeightsError]] = [WeightsError, *WeightsError.__subclasses__()]
    assert {str(failure.exit_code) for failure in failures} <= listed
    assert {str(code) for code in (os.EX_OK, os.EX_OSERR, os.EX_CONFIG, 1, 2)} <= listed
