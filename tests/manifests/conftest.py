"""The tools, and the repository rendered once."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from delivery.facts import read_facts
from delivery.kustomize import render
from delivery.policy.overlay import Facts, Overlay
from delivery.policy.schemas import Schemas

ROOT = Path(__file__).parents[2]


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
    """A copy of what is rendered and compared, to edit."""
    for name in ("base", "components", "overlays", "platform", "clusters", "delivery", "tools/schemas"):
        subprocess.run(["cp", "-r", "--parents", name, tmp_path], check=True, cwd=ROOT)
    return tmp_path


@pytest.fixture
def edit(clone: Path) -> Callable[[str, str, str], None]:
    """Replaces text in a file of the clone; text that is not there fails the test."""

    def replace(file: str, old: str, new: str) -> None:
        text = (clone / file).read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}"
        (clone / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return replace
