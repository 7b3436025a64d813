"""The command line tools written in Go whose versions are pinned under tools/: kustomize, kubeconform, helm, grype and others."""

import os
import subprocess
import sys
from pathlib import Path

from delivery.errors import DeliveryError


class ToolsMissing(DeliveryError):
    """tools/build failed; it has printed the reason."""


def built(module: str = "") -> Path:
    """Returns the folder with the tools of a Go module under tools/, and builds them first if needed. Raises ToolsMissing."""
    command = [str(Path(__file__).parents[1] / "tools/build"), module]
    environment = {"PYTHON": sys.executable, **os.environ}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ToolsMissing(f"tools/build {module} failed: this command needs its tools")
    return Path(done.stdout.strip())
