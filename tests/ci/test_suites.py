"""Tests import no file that is unrelated to their suite. Every suite of CI is a make target. Without a cluster the run is refused."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.ci.cluster import ClusterMissing, NamedCluster, SharedCluster, find_cluster
from tools.ci.lanes import image_in
from tools.ci.suites import CLIENTS, CLUSTER, CONTRACT, DELIVERY, IMAGE, ON_THE_CLUSTER, ON_THIS_MACHINE, PROXY, SMOKE, Suite

ROOT = Path(__file__).parents[2]
IMPORTED_FROM = [ROOT / name for name in ("apps/llm-api/src", "apps/llm-api/tests", "tests", ".")]  # pytest's pythonpath
FOLDERS = {
    SMOKE: "tests/fresh_start",
    CLIENTS: "tests/clients",
    CONTRACT: "tests/contract",
    PROXY: "tests/reverse_proxy",
    CLUSTER: "tests/cluster",
    DELIVERY: "tests/rollout",
}


def test_every_suite_is_a_make_target() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {suite.name for suite in (*ON_THIS_MACHINE, *ON_THE_CLUSTER, IMAGE)} <= targets


@pytest.mark.parametrize("suite", FOLDERS, ids=lambda suite: suite.name)
def test_unrelated_paths_exist_and_are_never_imported(suite: Suite) -> None:
    assert [path for path in suite.unrelated if not (ROOT / path).is_dir()] == []
    files = imported_by(sorted((ROOT / FOLDERS[suite]).glob("*.py")))
    assert [str(file) for file in files if str(file.relative_to(ROOT)).startswith(suite.unrelated)] == []


def imported_by(files: list[Path]) -> set[Path]:
    """These files, and every file of the repository that they import, directly or not."""
    found: set[Path] = set()
    while files:
        file = files.pop()
        if file not in found:
            found.add(file)
            files += [path for name in imports(file) if (path := module(name))]
    return found


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module(name: str) -> Path | None:
    places = [folder / name.replace(".", "/") for folder in IMPORTED_FROM]
    candidates = [file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")]
    return next((file for file in candidates if file.exists()), None)


def test_the_cluster_beside_the_clone_is_used(tmp_path: Path) -> None:
    (tmp_path / "shared" / "cluster").mkdir(parents=True)
    assert isinstance(find_cluster(tmp_path / "clone", {"KUBECONFIG": "other", "IMAGE": "x"}), SharedCluster)


@pytest.mark.parametrize("image", ["IMAGE", "PUSH"])
def test_without_it_the_cluster_of_kubeconfig_is_used(tmp_path: Path, image: str) -> None:
    assert isinstance(find_cluster(tmp_path / "clone", {"KUBECONFIG": "mine", image: "registry/llm-api"}), NamedCluster)


@pytest.mark.parametrize("environment", [{}, {"KUBECONFIG": "mine"}, {"IMAGE": "x"}, {"KUBECONFIG": "", "PUSH": "x"}])
def test_without_either_the_run_is_refused_with_the_fix(tmp_path: Path, environment: dict[str, str]) -> None:
    with pytest.raises(ClusterMissing, match="KEEP=1 make kind"):
        find_cluster(tmp_path / "clone", environment)


def test_variables_of_the_shared_cluster_reach_the_suites(tmp_path: Path) -> None:
    variables = tmp_path / "cluster.env"
    variables.write_text("KUBECONFIG=/a\0PATH=/b:/c\0IMAGE=old\0LINES=a\nb=c\0")
    environment = SharedCluster(tmp_path).environment(variables)
    assert environment["KUBECONFIG"] == "/a"
    assert environment["LINES"] == "a\nb=c"
    assert environment["PUSH"] == "127.0.0.1:15000/llm-api"
    assert "IMAGE" not in environment


def test_the_image_s_name_is_the_last_line_that_has_a_digest() -> None:
    assert image_in("building\npushing\n127.0.0.1:15000/llm-api@sha256:12\nimage ok, 0.2 min\n") == "127.0.0.1:15000/llm-api@sha256:12"
    assert image_in("failed\n") == ""
