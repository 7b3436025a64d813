"""Writes the generated sections of docs/reference: `python -m tools.docs`. With --check, fails if a page is not current."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from llm_api.markdown import replace_section
from tools.docs.command_lines import command_lines
from tools.docs.make_targets import make_targets
from tools.docs.metrics import metrics_table
from tools.docs.settings import settings_table

SECTIONS: dict[str, Callable[[], str]] = {
    "settings": settings_table,
    "metrics": metrics_table,
    "cli": command_lines,
    "make": make_targets,
}
FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    stale = []
    for name, generate in SECTIONS.items():
        page = arguments.folder / f"{name}.md"
        text = page.read_text(encoding="utf-8")
        current = replace_section(text, name, generate())
        if current == text:
            continue
        if arguments.check:
            stale.append(f"{page} is not current: run `make docs`")
        else:
            page.write_text(current, encoding="utf-8")
    sys.exit("\n".join(stale) or None)


if __name__ == "__main__":
    main()
