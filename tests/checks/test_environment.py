"""A pipeline job installs only requirements/delivery.txt: the commands must need nothing else."""

import re
import subprocess
import sys

from copied_tree import ROOT

LOADED = """
import sys
from importlib.metadata import packages_distributions
before = set(sys.modules)
import delivery.cli.application
distributions = packages_distributions()
print(*{name.lower() for module in set(sys.modules) - before for name in distributions.get(module.partition(".")[0], [])}, sep="\\n")
"""


def test_the_commands_import_only_packages_of_their_lock() -> None:
    lock = (ROOT / "requirements/delivery.txt").read_text(encoding="utf-8")
    locked = set(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {re.sub(r"[._]", "-", name) for name in done.stdout.split()}
    assert {"typer", "pyyaml", "ruamel-yaml", "httpx2", "tenacity"} <= loaded
    assert loaded <= locked
