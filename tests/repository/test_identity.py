"""The signer's identity is the same everywhere: promote verifies it, the cluster's policy admits it, image.yml has it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from copied_tree import ROOT

from delivery.errors import Refused
from delivery.promote.signature import ISSUER, WORKFLOW, keyless_identity
from delivery.promote.soak import Soak, Status


def repository() -> str:
    """OWNER/NAME, as in clusters/prod."""
    source = yaml.safe_load((ROOT / "clusters/prod/argocd/source.yaml").read_text(encoding="utf-8"))
    return re.sub(r"^https://github.com/|\.git$", "", source["data"]["repository"])


def test_the_cluster_admits_the_identity_that_promote_verifies() -> None:
    policy = yaml.safe_load((ROOT / "platform/signed-images/imagevalidatingpolicy.yaml").read_text(encoding="utf-8"))["spec"]
    [attestor] = policy["attestors"]
    assert attestor["cosign"]["keyless"]["identities"] == [{"issuer": ISSUER, "subject": keyless_identity(repository())}]
    assert policy["validationActions"] == ["Deny"] and policy["failurePolicy"] == "Fail"


def test_the_identity_is_the_workflow_on_its_branch() -> None:
    workflow = yaml.safe_load((ROOT / WORKFLOW).read_text(encoding="utf-8"))
    assert workflow[True]["push"]["branches"] == ["main"]
    assert keyless_identity("o/r") == f"https://github.com/o/r/{WORKFLOW}@refs/heads/main"


def test_the_clusters_report_to_the_repository_that_promote_reads() -> None:
    for environment in ("dev", "prod"):
        provider = yaml.safe_load((ROOT / f"clusters/{environment}/flux/provider.yaml").read_text(encoding="utf-8"))
        assert provider["spec"]["address"] == f"https://github.com/{repository()}"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_promote_reads_the_statuses_that_the_clusters_report(environment: str) -> None:
    """A success counts for the application of this name, and not for another environment's."""
    now, name = datetime.now(UTC), f"llm-api-{environment}"
    for context in contexts(environment):
        reported = [Status(context, "success", now - timedelta(hours=3))]
        assert Soak(name, timedelta(hours=2), lambda commit, reported=reported: reported).require(["a" * 40], now) == reported[0].at  # type: ignore[misc]
        with pytest.raises(Refused):
            Soak(f"{name}-other", timedelta(hours=2), lambda commit, reported=reported: reported).require(["a" * 40], now)  # type: ignore[misc]


def contexts(environment: str) -> Iterator[str]:
    """Contexts: Argo CD's with the Application's name in its template, and Flux's default."""
    folder = ROOT / f"clusters/{environment}"
    argocd = yaml.safe_load((folder / "argocd/notifications.yaml").read_text(encoding="utf-8"))["data"]
    applications = yaml.safe_load_all((folder / "argocd/application.yaml").read_text(encoding="utf-8"))
    subscribed = [found["metadata"] for found in applications if any("subscribe" in key for key in found["metadata"]["annotations"])]
    assert [f"{key.split('.')[-2]}" for found in subscribed for key in found["annotations"] if "subscribe" in key] == ["well", "unwell"]
    for name in ("well", "unwell"):
        label = yaml.safe_load(argocd[f"template.{name}"])["github"]["status"]["label"]
        yield label.replace("{{ .app.metadata.name }}", subscribed[0]["name"])
    alert = yaml.safe_load((folder / "flux/alert.yaml").read_text(encoding="utf-8"))
    yield f"kustomization/{alert['spec']['eventSources'][0]['name']}/0c9c2e41"
