"""Writes the table of differences from OpenAI's API into a page: `python -m tools.openai_types PAGE`. With --check it fails if the table
is outdated."""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from llm_api.markdown import replace_section
from tools.openai_types.differences import Difference
from tools.openai_types.reasons import FILE, ReasonsError, reasons_for
from tools.openai_types.surfaces import differences, our_document

SECTION = "differences"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.openai_types", description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--reasons", type=Path, default=FILE)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    text = arguments.page.read_text(encoding="utf-8")
    try:
        found = differences(our_document())
        current = replace_section(text, SECTION, table(found, reasons_for(found, arguments.reasons)))
    except ReasonsError as error:
        sys.exit(str(error))
    if arguments.check:
        sys.exit(None if current == text else f"{arguments.page} is outdated: run `make docs`")
    arguments.page.write_text(current, encoding="utf-8")


def table(found: list[Difference], reasons: dict[str, str]) -> str:
    """One row for each field and reason; the same difference in several parts is one row."""
    sections, count = [], 0
    for reason in dict.fromkeys(reasons.values()):
        of_reason = [difference for difference in found if reasons[difference.key] == reason]
        rows = [f"| {parts} | `{path}` | {what} |" for path, what, parts in _merged(of_reason)]
        count += len(rows)
        sections.append("\n".join([f"**{reason}**", "", "| Where | Field | Difference |", "| --- | --- | --- |", *rows]))
    return "\n\n".join([f"{count} differences from `openai=={version('openai')}`, grouped by reason:", *sections])


def _merged(found: list[Difference]) -> list[tuple[str, str, str]]:
    merged: dict[tuple[str, str], list[str]] = {}
    for difference in found:
        merged.setdefault((difference.path, difference.what), []).append(difference.part)
    return [(path, what, ", ".join(parts)) for (path, what), parts in merged.items()]


if __name__ == "__main__":
    main()
