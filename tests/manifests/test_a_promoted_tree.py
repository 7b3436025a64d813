"""A promotion, a bump and the switch to Gateway are routine commits. None of them may fail these tests."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from copied_tree import copy_tree
from manifests.conftest import PARTS
from manifests.own_overlay import PIN

from delivery.environments import pin_file
from delivery.overlay_image import write_pin

COPIED = (*PARTS, "tools", "tests/copied_tree.py", "tests/manifests", "apps/llm-api/Dockerfile", "pyproject.toml")
SUITES = (
    "test_invariants.py",
    "test_careless_edits.py",
    "test_image_environment.py",
    "test_image_accepts.py::test_the_pinned_image_is_run",
)
EDITS = "not careless_edit or digest"  # only one of them, which needs the pin, because each renders again


@pytest.mark.timeout(600)  # a whole run of pytest
def test_the_suite_passes_on_a_promoted_tree_that_switched_to_gateway(tmp_path: Path) -> None:
    copy_tree(tmp_path, *COPIED)
    for environment in ("dev", "prod"):
        file = tmp_path / pin_file(environment)
        written = write_pin(file.read_text(encoding="utf-8"), str(file), PIN)
        file.write_text(re.sub(r"(?m)^(  - \.\./\.\./components/)ingress\b", r"\1gateway", written), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", EDITS, *(f"tests/manifests/{name}" for name in SUITES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-4000:]
