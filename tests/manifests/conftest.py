"""The tools, and the rendered overlays."""

from pathlib import Path

import pytest
from copied_tree import ROOT, Edit, copy_tree, editor
from manifests.own_overlay import WayIn, own_prod

from delivery.go_tools import built
from delivery.policy.facts import Facts, read_facts
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas
from delivery.rendering import render

PARTS = ("base", "components", "overlays", "platform", "clusters", "delivery", "tools/schemas")
WAYS_IN: tuple[WayIn, ...] = ("ingress", "gateway")


@pytest.fixture(scope="session")
def tools() -> Path:
    return built()


@pytest.fixture(scope="session")
def schemas(tools: Path) -> Schemas:
    return Schemas(tools / "kubeconform", ROOT / "tools/schemas")


@pytest.fixture(scope="session")
def facts(tools: Path) -> Facts:
    return read_facts(ROOT, tools / "kustomize")


@pytest.fixture(scope="session")
def prod(tools: Path, facts: Facts) -> Overlay:
    return Overlay("prod", render(ROOT, "overlays/prod", tools / "kustomize"), facts)


@pytest.fixture(scope="session")
def promoted(tools: Path, facts: Facts, tmp_path_factory: pytest.TempPathFactory) -> dict[WayIn, Overlay]:
    """Prod with a promoted image, once with Ingress and once with Gateway."""
    root = copy_tree(tmp_path_factory.mktemp("promoted"), *PARTS)
    overlays: dict[WayIn, Overlay] = {}
    for way_in in WAYS_IN:
        own_prod(root, way_in)
        overlays[way_in] = Overlay("prod", render(root, "overlays/prod", tools / "kustomize"), facts)
    return overlays


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the files that are rendered and compared."""
    return copy_tree(tmp_path, *PARTS)


@pytest.fixture
def edit(clone: Path) -> Edit:
    return editor(clone)
