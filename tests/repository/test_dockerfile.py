"""The image's stage that converts the default model has the files that the conversion imports."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from copied_tree import ROOT

COPIED = re.compile(r"^COPY (apps/llm-api/src/llm_api.*) (\S+)$", re.MULTILINE)
IMPORT_ALL = """
import pkgutil, llm_api.weights
for module in pkgutil.walk_packages(llm_api.weights.__path__, "llm_api.weights."):
    __import__(module.name)
assert llm_api.weights.__file__.startswith({folder!r}), llm_api.weights.__file__
"""


def test_the_copied_modules_can_be_imported_alone(tmp_path: Path) -> None:
    stage = (ROOT / "apps/llm-api/Dockerfile").read_text().split("llm_api.weights.bake")[0]
    for sources, to in COPIED.findall(stage):
        for source in map(Path, sources.split()):
            target = tmp_path / to / (source.name if to.endswith("/") else "")
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (ROOT / source).is_dir() else shutil.copy)(ROOT / source, target)
    alone = f"import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'ditable' not in repr(f)]; sys.path.insert(0, {str(tmp_path)!r})"
    code = alone + IMPORT_ALL.format(folder=str(tmp_path))
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
