"""The table of make targets, from the `## ` comments of the Makefile."""

import re
from pathlib import Path

from llm_api.markdown import table

MAKEFILE = Path(__file__).parents[2] / "Makefile"


def make_targets() -> str:
    found = re.findall(r"^([a-z0-9-]+):.*?## (.*)$", MAKEFILE.read_text(encoding="utf-8"), re.MULTILINE)
    return table(("Target", "What it does"), [(f"`make {target}`", text.replace("|", "\\|")) for target, text in found])
