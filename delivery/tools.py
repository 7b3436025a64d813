"""The Go tools that tools/go.mod pins."""

import subprocess
from pathlib import Path


class ToolsMissing(Exception):
    """tools/build has said why."""


def built() -> Path:
    """The folder that holds them; builds them first where that was not done yet. Raises ToolsMissing."""
    done = subprocess.run([Path(__file__).parents[1] / "tools/build"], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ToolsMissing("tools/build failed: kustomize is needed to render")
    return Path(done.stdout.strip())
