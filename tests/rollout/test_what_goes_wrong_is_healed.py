"""A bad commit never takes the service down, git revert takes it back, and the cluster follows git alone."""

import httpx2
import pytest
from cluster.kube import Kube
from rollout.argocd import Application
from rollout.conftest import DEV
from rollout.repository import Repository

NOWHERE = "sha256:" + "1" * 64
pytestmark = pytest.mark.timeout(600)


def test_a_bad_image_stalls_degraded_while_the_old_one_serves_and_a_revert_heals(
    dev: Application, repository: Repository, kube: Kube, url: str
) -> None:
    running = kube.pods()[0]["metadata"]["name"]
    repository.edit(DEV, r"digest: sha256:\w+", f"digest: {NOWHERE}")
    repository.edit("overlays/dev/deployment.yaml", r"^spec:$", "spec:\n  progressDeadlineSeconds: 60")
    commit = repository.push("An image that is nowhere")
    dev.refresh()
    kube.until(lambda: dev.health == "Degraded", 180)
    assert httpx2.get(f"{url}/v1/models").status_code == 200
    assert running in {pod["metadata"]["name"] for pod in kube.pods()}
    assert not dev.delivered(commit)
    dev.wait(repository.revert(), 240)
    assert [pod["metadata"]["name"] for pod in kube.pods()] == [running]


def test_a_failed_smoke_test_fails_the_sync(dev: Application, repository: Repository, kube: Kube) -> None:
    repository.edit("components/smoke/job.yaml", r"args: \[.*\]", 'args: [smoke, "http://llm-api:81", --patience, "1"]')
    # A hook alone is no reason to sync: Argo CD compares what is synced, and hooks are not.
    repository.edit("base/deployment.yaml", r"progressDeadlineSeconds: 1300$", "progressDeadlineSeconds: 1301")
    commit = repository.push("A smoke test that asks at the wrong port")
    dev.refresh()
    kube.until(lambda: dev.failed(commit), 240)
    assert not dev.delivered(commit)
    dev.wait(repository.revert(), 300)


def test_a_live_edit_is_healed(dev: Application, kube: Kube) -> None:
    kube.patch("service/llm-api", {"spec": {"ports": [{"port": 80, "name": "http", "targetPort": "management"}]}})
    kube.until(lambda: [port["targetPort"] for port in kube.get("service", "llm-api")["spec"]["ports"]] == ["http"], 60)


def test_what_git_drops_is_pruned_and_comes_back(dev: Application, repository: Repository, kube: Kube) -> None:
    repository.edit("base/kustomization.yaml", r"^  - poddisruptionbudget.yaml\n", "")
    dev.wait(repository.push("No disruption budget"), 180)
    assert kube.get("poddisruptionbudgets")["items"] == []
    dev.wait(repository.revert(), 180)
    assert [budget["metadata"]["name"] for budget in kube.get("poddisruptionbudgets")["items"]] == ["llm-api"]
