"""Components can be combined freely, an overlay is short, and one line switches between Ingress and Gateway."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests.own_overlay import FILE, own_prod

from delivery.policy.checks_by_invariant import findings
from delivery.policy.facts import read_facts
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas
from delivery.rendering import Rendered, RenderError, render

COMBINATIONS: tuple[list[str], ...] = (
    [],
    ["gpu"],
    ["tls", "ingress", "api-keys"],
    ["tls", "gateway", "api-keys"],
    ["ingress", "api-keys"],
    ["tls", "ingress", "gateway", "api-keys"],
    ["model-cache"],
    ["gpu", "model-cache"],
    ["api-keys"],
    ["monitoring", "autoscaling"],
    ["gpu", "model-cache", "tls", "ingress", "api-keys", "monitoring", "autoscaling"],
    ["gpu", "model-cache", "tls", "gateway", "api-keys", "monitoring", "autoscaling"],
)
ANONYMOUS = """\
- op: add
  path: /spec/template/spec/containers/0/env/-
  value: {name: ALLOW_ANONYMOUS, value: "true"}
"""
STAGING = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: llm-api
resources: [../../base, environment.yaml]
components:
  - ../../components/gpu
  - ../../components/tls
  - ../../components/ingress
  - ../../components/api-keys
replicas: [{name: llm-api, count: 2}]
images:
  - {name: llm-api, newName: ghcr.io/example/llm-api, newTag: dev}
"""
ENVIRONMENT = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: environment
  annotations: {config.kubernetes.io/local-config: "true"}
data:
  {host: staging.example.com, proxyTimeout: "3600", issuer: letsencrypt, gpus: "1", secretStore: store, keysEntry: keys, smokeKeyEntry: key}
"""


@pytest.fixture
def findings_of(clone: Path, tools: Path, schemas: Schemas) -> Callable[[str], Iterator[str]]:
    def findings_of(name: str) -> Iterator[str]:
        facts = read_facts(clone, tools / "kustomize")
        overlay = Overlay(name, render(clone, f"overlays/{name}", tools / "kustomize"), facts)
        return (str(found) for found in findings(overlay, schemas))

    return findings_of


def _overlay(clone: Path, components: list[str], **more: str) -> None:
    """Writes overlays/trial with prod's environment. Without API keys it sets ALLOW_ANONYMOUS, because its pods would exit otherwise."""
    folder = clone / "overlays/trial"
    folder.mkdir()
    environment = yaml.safe_load((clone / "overlays/prod/environment.yaml").read_text(encoding="utf-8"))
    environment["data"] |= more
    (folder / "environment.yaml").write_text(yaml.safe_dump(environment), encoding="utf-8")
    kustomization: dict[str, Any] = {
        "namespace": "llm-api",
        "resources": ["../../base", "environment.yaml"],
        "components": [f"../../components/{name}" for name in components],
        "images": [{"name": "llm-api", "newName": "ghcr.io/example/llm-api", "newTag": "dev"}],
    }
    if "api-keys" not in components:
        kustomization["patches"] = [{"target": {"kind": "Deployment", "name": "llm-api"}, "patch": ANONYMOUS}]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")


@pytest.mark.parametrize("components", COMBINATIONS, ids="+".join)
def test_components_can_be_combined(components: list[str], clone: Path, findings_of: Callable[[str], Iterator[str]]) -> None:
    _overlay(clone, components)
    assert list(findings_of("trial")) == []


def test_a_third_environment_takes_under_40_lines(clone: Path, findings_of: Callable[[str], Iterator[str]]) -> None:
    (clone / "overlays/staging").mkdir()
    (clone / "overlays/staging/kustomization.yaml").write_text(STAGING, encoding="utf-8")
    (clone / "overlays/staging/environment.yaml").write_text(ENVIRONMENT, encoding="utf-8")
    assert list(findings_of("staging")) == []
    assert (STAGING + ENVIRONMENT).count("\n") < 40


def test_one_line_switches_from_ingress_to_gateway(
    clone: Path, edit: Callable[[str, str, str], None], tools: Path, findings_of: Callable[[str], Iterator[str]]
) -> None:
    own_prod(clone, "ingress")
    edit(FILE, "../../components/ingress", "../../components/gateway")
    rendered = render(clone, "overlays/prod", tools / "kustomize")
    assert not _kinds(rendered) & {"Ingress"}
    assert _kinds(rendered) >= {"Gateway", "HTTPRoute", "ProxySettingsPolicy", "ClientSettingsPolicy", "UpstreamSettingsPolicy"}
    certificate = next(found for found in rendered.objects if found["kind"] == "Certificate")
    assert certificate["metadata"]["labels"] == {"llm-api/http01": "gateway"}
    assert list(findings_of("prod")) == []


def test_a_buffering_gateway_is_reported(
    clone: Path, edit: Callable[[str, str, str], None], findings_of: Callable[[str], Iterator[str]]
) -> None:
    own_prod(clone, "gateway")
    edit("components/gateway/proxysettingspolicy.yaml", "disable: true", "disable: false")
    assert any("components/gateway/proxysettingspolicy.yaml" in text and "unbuffered-streams" in text for text in findings_of("prod"))


def test_a_certificate_after_the_gateway_is_refused(clone: Path, tools: Path) -> None:
    _overlay(clone, ["gateway", "tls"])
    with pytest.raises(RenderError, match="list components~1tls before components~1gateway"):
        render(clone, "overlays/trial", tools / "kustomize")


def test_the_service_in_front_of_vllm_holds_every_invariant(clone: Path, findings_of: Callable[[str], Iterator[str]]) -> None:
    _overlay(clone, ["vllm", "tls", "ingress", "api-keys"], vllmModel="org/name", vllmRevision="0" * 40, vllmReplicas="2")
    assert list(findings_of("trial")) == []


def test_the_environment_is_not_applied(prod: Overlay) -> None:
    assert "ConfigMap" not in _kinds(prod.rendered)


def _kinds(rendered: Rendered) -> set[str]:
    return {found["kind"] for found in rendered.objects}
