"""The tools, and the repository rendered once."""

import subprocess
from pathlib import Path

import pytest
from copied_tree import ROOT, Edit, copy_tree, editor

from delivery.facts import read_facts
from delivery.kustomize import render
from delivery.policy.overlay import Facts, Overlay
from delivery.policy.schemas import Schemas


@pytest.fixture(scope="session")
def tools() -> Path:
    return Path(subprocess.run([ROOT / "tools/build"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())


@pytest.fixture(scope="session")
def schemas(tools: Path) -> Schemas:
    return Schemas(tools / "kubeconform", ROOT / "tools/schemas")


@pytest.fixture(scope="session")
def facts(tools: Path) -> Facts:
    return read_facts(ROOT, tools / "kustomize")


@pytest.fixture(scope="session")
def prod(tools: Path, facts: Facts) -> Overlay:
    return Overlay("prod", render(ROOT, "overlays/prod", tools / "kustomize"), facts)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what is rendered and compared."""
    return copy_tree(tmp_path, "base", "components", "overlays", "platform", "clusters", "delivery", "tools/schemas")


@pytest.fixture
def edit(clone: Path) -> Edit:
    return editor(clone)
