"""A bad commit never takes the service down, git revert undoes it, and the cluster follows only git."""

import httpx2
import pytest
from cluster.kube import Kube
from rollout.argocd import Application
from rollout.conftest import DEV
from rollout.repository import Repository

NOWHERE = "sha256:" + "1" * 64
pytestmark = pytest.mark.timeout(600)


def test_a_missing_image_degrades_while_the_old_one_serves_and_a_revert_heals(
    dev_app: Application, repository: Repository, dev_kube: Kube, dev_url: str
) -> None:
    running = dev_kube.pods()[0]["metadata"]["name"]
    repository.edit(DEV, r"digest: sha256:\w+", f"digest: {NOWHERE}")
    repository.edit("overlays/dev/deployment.yaml", r"^spec:$", "spec:\n  progressDeadlineSeconds: 20")
    commit = repository.push("An image that is nowhere")
    dev_app.refresh()
    dev_kube.until(lambda: dev_app.health == "Degraded", 180)
    assert httpx2.get(f"{dev_url}/v1/models").status_code == 200
    assert running in {pod["metadata"]["name"] for pod in dev_kube.pods()}
    assert not dev_app.delivered(commit)
    dev_app.wait(repository.revert(), 240)
    assert [pod["metadata"]["name"] for pod in dev_kube.pods()] == [running]


def test_a_failed_smoke_test_fails_the_sync(dev_app: Application, repository: Repository, dev_kube: Kube) -> None:
    repository.edit("components/smoke/job.yaml", r"args: \[.*\]", 'args: [smoke, "http://llm-api:81", --patience, "1"]')
    repository.edit("components/smoke/job.yaml", r"backoffLimit: 1$", "backoffLimit: 0")
    # A changed hook does not cause a sync: Argo CD does not compare hooks.
    repository.edit("base/deployment.yaml", r"progressDeadlineSeconds: 1300$", "progressDeadlineSeconds: 1301")
    commit = repository.push("A smoke test with the wrong port")
    dev_app.refresh()
    dev_kube.until(lambda: dev_app.failed(commit), 240)
    assert not dev_app.delivered(commit)
    dev_app.wait(repository.revert(), 300)


def test_a_live_edit_is_healed(dev_app: Application, dev_kube: Kube) -> None:
    dev_kube.patch("service/llm-api", {"spec": {"ports": [{"port": 80, "name": "http", "targetPort": "management"}]}})
    dev_kube.until(lambda: [port["targetPort"] for port in dev_kube.get("service", "llm-api")["spec"]["ports"]] == ["http"], 60)


def test_an_object_deleted_in_git_is_pruned_and_restored(dev_app: Application, repository: Repository, dev_kube: Kube) -> None:
    repository.edit("base/kustomization.yaml", r"^  - poddisruptionbudget.yaml\n", "")
    dev_app.wait(repository.push("No disruption budget"), 180)
    assert dev_kube.get("poddisruptionbudgets")["items"] == []
    dev_app.wait(repository.revert(), 180)
    assert [budget["metadata"]["name"] for budget in dev_kube.get("poddisruptionbudgets")["items"]] == ["llm-api"]
