"""Writes the generated sections of docs: `python -m tools.docs`. With --check, fails if a page is not current."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llm_api.markdown import replace_section
from tools.docs.clients import clients_tables
from tools.docs.command_lines import command_lines
from tools.docs.engines import engines_table
from tools.docs.invariants import invariants_table
from tools.docs.make_targets import make_targets
from tools.docs.metrics import metrics_table
from tools.docs.models import models_table
from tools.docs.settings import settings_table


@dataclass(frozen=True)
class Section:
    name: str
    page: str
    generate: Callable[[], str]


SECTIONS = (
    Section("settings", "reference/settings.md", settings_table),
    Section("metrics", "reference/metrics.md", metrics_table),
    Section("cli", "reference/cli.md", command_lines),
    Section("clients", "reference/clients.md", clients_tables),
    Section("engines", "reference/engines.md", engines_table),
    Section("make", "reference/make.md", make_targets),
    Section("models", "reference/models.md", models_table),
    Section("invariants", "manifests.md", invariants_table),
)
FOLDER = Path(__file__).parents[2] / "docs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    stale = []
    for section in SECTIONS:
        page = arguments.folder / section.page
        text = page.read_text(encoding="utf-8")
        current = replace_section(text, section.name, section.generate())
        if current == text:
            continue
        if arguments.check:
            stale.append(f"{page} is not current: run `make docs`")
        else:
            page.write_text(current, encoding="utf-8")
    sys.exit("\n".join(stale) or None)


if __name__ == "__main__":
    main()
