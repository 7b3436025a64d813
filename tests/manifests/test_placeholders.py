"""Values that an environment sets are placeholders in components/ and clusters/, so that they cannot be mistaken for real values."""

from pathlib import Path

import pytest
import yaml
from manifests.own_overlay import WayIn, own_prod

from delivery.policy.objects import leaves
from delivery.policy.placeholders import is_placeholder, placeholders
from delivery.rendering import Rendered, render


def values(rendered: Rendered) -> dict[str, object]:
    return {f"{found['kind']}/{found['metadata']['name']} {path}": value for found in rendered.objects for path, value in leaves(found)}


def without_replacements(clone: Path) -> None:
    for file in clone.glob("*/**/kustomization.yaml"):
        kustomization = yaml.safe_load(file.read_text(encoding="utf-8"))
        kustomization.pop("replacements", None)
        file.write_text(yaml.safe_dump(kustomization, sort_keys=False), encoding="utf-8")


@pytest.mark.parametrize("way_in", ["ingress", "gateway"])
def test_every_value_that_the_environment_sets_is_a_placeholder_in_its_component(way_in: WayIn, clone: Path, tools: Path) -> None:
    own_prod(clone, way_in)
    set_by_environment = values(render(clone, "overlays/prod", tools / "kustomize"))
    without_replacements(clone)
    written = values(render(clone, "overlays/prod", tools / "kustomize"))
    replaced = {field: value for field, value in written.items() if set_by_environment.get(field) != value}
    assert {"ScaledObject/llm-api spec.minReplicaCount", "PodMonitor/llm-api metadata.labels.release"} <= replaced.keys()
    assert {field: value for field, value in replaced.items() if not is_placeholder(value, field.partition("/")[0])} == {}


@pytest.mark.parametrize("cluster", ["dev", "prod"])
def test_every_value_that_source_yaml_sets_is_a_placeholder(cluster: str, clone: Path, tools: Path) -> None:
    folder = f"clusters/{cluster}/argocd"
    set_by_source = values(render(clone, folder, tools / "kustomize"))
    without_replacements(clone)
    rendered = render(clone, folder, tools / "kustomize")
    replaced = {field: value for field, value in values(rendered).items() if set_by_source.get(field) != value}
    assert f"Application/llm-api-{cluster} spec.sources[0].repoURL" in replaced
    assert {field: value for field, value in replaced.items() if not is_placeholder(value, field.partition("/")[0])} == {}
    assert {problem.field for problem in placeholders(rendered)} == set(replaced)


@pytest.mark.parametrize("value", ["set-by-environment", "set-by-environment#alert", "set-by-source", -1])
def test_placeholders_are_recognised(value: object) -> None:
    assert is_placeholder(value, "ScaledObject")


def test_a_priority_of_minus_one_is_no_placeholder() -> None:
    assert not is_placeholder(-1, "PriorityClass")


@pytest.mark.parametrize("value", ["environment", "-1", 0, 1, False, None, "set by hand"])
def test_other_values_are_not_placeholders(value: object) -> None:
    assert not is_placeholder(value, "ScaledObject")
