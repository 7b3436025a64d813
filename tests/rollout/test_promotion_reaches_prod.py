"""An image that runs well in dev reaches prod by its digest and a tag, and in no other way."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cluster.kube import Kube
from promotion.github_stub import REPOSITORY, GitHubStub, serving
from rollout.argocd import Application
from rollout.conftest import DEV
from rollout.custom_kinds import delete_kinds, install_kinds
from rollout.production import Production
from rollout.repository import Repository
from rollout.signing import Signer

from delivery.overlay_image import ImagePin, read_pin

TOKEN = "not-a-real-token"
MISSING_KINDS = ("cert-manager", "external-secrets", "keda", "prometheus-operator")
pytestmark = pytest.mark.timeout(900)


class Owner:
    """Promotes and releases, with a stub of GitHub and real signatures."""

    def __init__(self, repository: Repository, github: GitHubStub, signer: Signer) -> None:
        self._repository, self._github, self._signer = repository, github, signer
        self._around = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": github.url}

    def promote(self) -> str:
        self._github.add_status(self._repository.head, "success", minutes_ago=45)
        return self._repository.delivery("promote", "--verify", self._signer.verify, **self._around)

    def release(self, *options: str) -> str:
        """Returns the commit that was tagged."""
        head = self._repository.head
        assert self._repository.delivery("release", "--commit", head, "--verify", self._signer.verify, *options).startswith("released ")
        return head


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def github() -> Iterator[GitHubStub]:
    github = GitHubStub()
    with serving(github, TOKEN):
        yield github


@pytest.fixture(scope="module")
def owner(repository: Repository, github: GitHubStub, signer: Signer) -> Owner:
    return Owner(repository, github, signer)


@pytest.fixture(scope="module")
def pin(dev_app: Application, repository: Repository, image: str) -> ImagePin:
    """The image that dev runs, set by a bump."""
    if _pin(repository).commit is None:
        dev_app.wait(repository.bump(image), 300)
    return _pin(repository)


def _pin(repository: Repository) -> ImagePin:
    return read_pin((repository.folder / DEV).read_text(encoding="utf-8"), DEV)


@pytest.fixture(scope="module")
def production(repository: Repository, kustomize: Path) -> Iterator[Production]:
    delete_kinds(*MISSING_KINDS)
    production = Production(repository, kustomize)
    try:
        yield production
    finally:
        production.clean_up()
        delete_kinds(*MISSING_KINDS)


def test_an_unsigned_image_is_not_promoted(owner: Owner, pin: ImagePin) -> None:
    with pytest.raises(AssertionError, match="is not signed as required"):
        owner.promote()


def test_a_signed_image_reaches_prod_by_its_digest_once_the_cluster_has_the_missing_kinds(
    owner: Owner, signer: Signer, pin: ImagePin, repository: Repository, production: Production
) -> None:
    signer.sign(f"{pin.registry}@{pin.digest}")
    assert owner.promote().endswith("/pull/1")
    repository.merge(f"promote/{str(pin.commit)[:12]}")
    released = owner.release()
    production.start()
    production.application.refresh()
    production.kube.until(lambda: production.application.failed(released), 180)
    assert any("no matches for kind" in message for message in production.application.messages), production.application.messages
    install_kinds(*MISSING_KINDS)
    production.wait(released, 400)
    assert production.image == f"{pin.registry}:{pin.tag}@{pin.digest}"
    assert {pod["spec"]["nodeName"][:4] for pod in production.kube.pods()} == {"gpu-"}


def test_a_change_of_base_rolls_dev_and_leaves_prod_until_it_is_tagged(
    dev_app: Application, owner: Owner, repository: Repository, production: Production, dev_kube: Kube
) -> None:
    dev_before, prod_before = dev_kube.pods()[0]["metadata"]["name"], template(production.kube)
    mark = f'kubectl.kubernetes.io/default-container: llm-api\n        llm-api/changed: "{datetime.now(UTC):%H:%M:%S}"'
    repository.edit("base/deployment.yaml", r"kubectl.kubernetes.io/default-container: llm-api$", mark)
    changed = repository.push("Mark every pod")
    dev_app.wait(changed, 300)
    assert [pod["metadata"]["name"] for pod in dev_kube.pods()] != [dev_before]
    production.application.compare_again()
    assert production.application.status["sync"]["revisions"] != [changed]
    assert template(production.kube) == prod_before
    production.wait(owner.release("--same-image"), 300)
    assert template(production.kube) != prod_before


def template(dev_kube: Kube) -> object:
    return dev_kube.get("deployment", "llm-api")["spec"]["template"]
