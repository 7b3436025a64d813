"""Flux takes over what Argo CD has synced, and follows git from then on. Runs last, because it removes the Argo CD Applications."""

from collections.abc import Iterator

import pytest
from cluster.kube import Kube
from rollout.argocd import Application
from rollout.flux import Flux
from rollout.repository import Repository

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def flux(dev_app: Application, repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flux]:
    for name in ("cluster-dev", "llm-api-dev"):
        Application(name).forget()
    flux = Flux(repository, tmp_path_factory.mktemp("flux"))
    try:
        flux.start()
        yield flux
    finally:
        flux.stop()


def test_it_takes_over_without_a_restart(flux: Flux, repository: Repository, dev_kube: Kube) -> None:
    running = [pod["metadata"]["name"] for pod in dev_kube.pods()]
    flux.apply("clusters/dev/flux")
    flux.publish(repository.head)
    for name in ("cluster-dev", "llm-api-dev"):
        flux.wait(name, repository.head, 300)
    assert [pod["metadata"]["name"] for pod in dev_kube.pods()] == running


def test_an_object_deleted_in_git_is_pruned_and_restored(flux: Flux, repository: Repository, dev_kube: Kube) -> None:
    repository.edit("base/kustomization.yaml", r"^  - poddisruptionbudget.yaml\n", "")
    follow(flux, repository.push("No disruption budget"))
    assert dev_kube.get("poddisruptionbudgets")["items"] == []
    follow(flux, repository.revert())
    assert [budget["metadata"]["name"] for budget in dev_kube.get("poddisruptionbudgets")["items"]] == ["llm-api"]


def test_a_commit_rolls_out_and_its_revert_too(flux: Flux, repository: Repository, dev_kube: Kube) -> None:
    running = [pod["metadata"]["name"] for pod in dev_kube.pods()]
    repository.edit(
        "overlays/dev/deployment.yaml",
        r"^( +)- name: ALLOW_ANONYMOUS$",
        r"\1- name: LOG_LEVEL\n\1  value: debug\n\1- name: ALLOW_ANONYMOUS",
    )
    follow(flux, repository.push("More in the log"))
    assert not set(running) & {pod["metadata"]["name"] for pod in dev_kube.pods()}
    flux.wait("llm-api-dev-smoke", repository.head, 180)
    follow(flux, repository.revert())


def follow(flux: Flux, commit: str) -> None:
    flux.publish(commit)
    flux.wait("llm-api-dev", commit, 300)
