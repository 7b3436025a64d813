"""clusters/dev, applied as in its README; only the repository's address and the image's registry are replaced.

production.py changes more for prod.
"""

from collections.abc import Iterator

import pytest
from cluster.conftest import NODE_PORT, answers, from_outside
from cluster.kube import Kube
from rollout.argocd import NAMESPACE, Application
from rollout.production import edit_prod
from rollout.repository import Repository

pytest_plugins = ["cluster.conftest"]
DEV = "overlays/dev/kustomization.yaml"
ENVIRONMENTS = ("dev", "prod")


@pytest.fixture(scope="session")
def repository(image: str, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    repository = Repository(tmp_path_factory.mktemp("git"))
    name, _, digest = image.partition("@")
    repository.edit("clusters/dev/argocd/source.yaml", r"repository: .*", f"repository: {repository.url}")
    repository.edit(DEV, r"newName: .*", f"newName: {name}")
    repository.edit(DEV, r"^( +)newTag: .*", rf"\1newTag: first\n\1digest: {digest}")
    for environment in ENVIRONMENTS:  # a failed sync is retried after 5 s, not after 30 s
        repository.edit(f"clusters/{environment}/argocd/application.yaml", r"\{duration: 30s,", "{duration: 5s,", every=True)
    edit_prod(repository)
    repository.push("The repository and registry of this cluster")
    return repository


@pytest.fixture(scope="session")
def dev_app(repository: Repository, dev_url: str) -> Iterator[Application]:
    argocd, service = Kube(NAMESPACE), Kube("llm-api")
    argocd.make_namespace()
    service.make_namespace()
    argocd.run("apply", "--server-side", "--force-conflicts", "-k", str(repository.folder / "clusters/dev/argocd"))
    application = Application("llm-api-dev")
    application.wait(repository.head, 400)
    service.apply(from_outside())
    service.until(lambda: answers(dev_url), 60)
    yield application
    for name in ("cluster-dev", "llm-api-dev"):
        Application(name).forget()
    service.drop_namespace()


@pytest.fixture(scope="session")
def dev_url() -> str:
    return f"http://127.0.0.1:{NODE_PORT}"


@pytest.fixture
def dev_kube() -> Kube:
    return Kube("llm-api")
