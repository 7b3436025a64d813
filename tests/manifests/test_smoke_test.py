"""The smoke test runs after the rollout and has an API key: with Argo CD as a hook, with Flux as a dependent Kustomization."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.policy.objects import environment, main_container, seconds
from delivery.policy.overlay import Overlay
from delivery.rendering import Object, render

ROOT = Path(__file__).parents[2]
SMOKE = ("Job", "llm-api-smoke")


def objects(root: Path, folder: str, tools: Path) -> dict[tuple[str, str], Object]:
    return {(found["kind"], found["metadata"]["name"]): found for found in render(root, folder, tools / "kustomize").objects}


def sync(cluster: str, name: str, tools: Path) -> dict[str, Any]:
    spec: dict[str, Any] = objects(ROOT, f"clusters/{cluster}/flux", tools)["Kustomization", name]["spec"]
    return spec


def as_flux_builds_it(clone: Path, path: str, spec: dict[str, Any], tools: Path) -> dict[tuple[str, str], Object]:
    """Renders as Flux does: with the patches of the Kustomization added to those of the folder."""
    file = clone / path / "kustomization.yaml"
    kustomization = yaml.safe_load(file.read_text(encoding="utf-8"))
    kustomization["patches"] = kustomization.get("patches", []) + spec.get("patches", [])
    file.write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return objects(clone, path, tools)


@pytest.mark.parametrize("cluster", ["dev", "prod"])
def test_flux_rolls_out_everything_except_the_smoke_test(cluster: str, clone: Path, tools: Path) -> None:
    everything = objects(ROOT, f"overlays/{cluster}", tools)
    rollout = as_flux_builds_it(clone, f"overlays/{cluster}", sync(cluster, f"llm-api-{cluster}", tools), tools)
    assert set(everything) - set(rollout) == {SMOKE}


@pytest.mark.parametrize("cluster", ["dev", "prod"])
def test_flux_runs_only_the_smoke_test_after_the_rollout_of_the_same_image(cluster: str, clone: Path, tools: Path) -> None:
    spec = sync(cluster, f"llm-api-{cluster}-smoke", tools)
    smoke = as_flux_builds_it(clone, spec["path"].removeprefix("./"), spec, tools)
    assert set(smoke) == {SMOKE}
    job, deployment = smoke[SMOKE], objects(ROOT, f"overlays/{cluster}", tools)["Deployment", "llm-api"]
    assert main_container(job)["image"] == main_container(deployment)["image"]
    assert spec["dependsOn"] == [{"name": f"llm-api-{cluster}"}]
    assert spec["wait"]
    rollout = sync(cluster, f"llm-api-{cluster}", tools)
    assert rollout["wait"], "otherwise it is ready before its pods"
    assert spec["sourceRef"] == rollout["sourceRef"], "Flux compares the commits of Kustomizations that share a source"
    assert (seconds(spec["timeout"]) or 0) > job["spec"]["activeDeadlineSeconds"]
    assert (seconds(spec["retryInterval"]) or 0) > job["spec"]["ttlSecondsAfterFinished"], "otherwise a failed Job is never recreated"


@pytest.mark.parametrize("cluster", ["dev", "prod"])
def test_argo_cd_never_sees_the_success_of_an_earlier_smoke_test(cluster: str, tools: Path) -> None:
    annotations = objects(ROOT, f"overlays/{cluster}", tools)[SMOKE]["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/hook"] == "PostSync"
    assert set(annotations["argocd.argoproj.io/hook-delete-policy"].split(",")) == {"HookSucceeded", "BeforeHookCreation"}


def test_its_api_key_comes_from_the_secret_store(prod: Overlay) -> None:
    job = prod.named("Job", "llm-api-smoke")
    assert job is not None
    assert "API_KEY" in environment(main_container(job))
    [wanted] = [entry["valueFrom"]["secretKeyRef"] for entry in main_container(job)["env"] if entry["name"] == "API_KEY"]
    made = prod.named("ExternalSecret", wanted["name"])
    assert made is not None
    assert made["spec"]["target"]["name"] == wanted["name"]
    assert [entry["secretKey"] for entry in made["spec"]["data"]] == [wanted["key"]]
