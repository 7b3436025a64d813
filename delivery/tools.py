"""The Go tools that the modules of tools/ pin."""

import subprocess
from pathlib import Path


class ToolsMissing(Exception):
    """tools/build has said why."""


def built(module: str = "") -> Path:
    """The folder that holds a module's; builds them first where that was not done yet. Raises ToolsMissing."""
    done = subprocess.run([Path(__file__).parents[1] / "tools/build", module], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ToolsMissing(f"tools/build {module} failed: its tools are needed here")
    return Path(done.stdout.strip())
