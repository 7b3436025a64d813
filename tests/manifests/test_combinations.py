"""Components go together as one needs them; an overlay is a screen long; the way in is one line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifests.own_overlay import FILE, own_prod

from delivery.facts import read_facts
from delivery.kustomize import Rendered, RenderError, render
from delivery.policy.invariants import findings
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas

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
def told(clone: Path, tools: Path, schemas: Schemas) -> Callable[[str], Iterator[str]]:
    def told(name: str) -> Iterator[str]:
        facts = read_facts(clone, tools / "kustomize")
        overlay = Overlay(name, render(clone, f"overlays/{name}", tools / "kustomize"), facts)
        return (str(found) for found in findings(overlay, schemas))

    return told


def _overlay(clone: Path, components: list[str], **more: str) -> None:
    """overlays/trial, with prod's environment. Without keys it says so, as overlays/dev does: else its pods would exit."""
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
def test_components_go_together(components: list[str], clone: Path, told: Callable[[str], Iterator[str]]) -> None:
    _overlay(clone, components)
    assert list(told("trial")) == []


def test_a_third_environment_takes_under_40_lines(clone: Path, told: Callable[[str], Iterator[str]]) -> None:
    (clone / "overlays/staging").mkdir()
    (clone / "overlays/staging/kustomization.yaml").write_text(STAGING, encoding="utf-8")
    (clone / "overlays/staging/environment.yaml").write_text(ENVIRONMENT, encoding="utf-8")
    assert list(told("staging")) == []
    assert (STAGING + ENVIRONMENT).count("\n") < 40


def test_one_line_switches_from_ingress_to_gateway(
    clone: Path, edit: Callable[[str, str, str], None], tools: Path, told: Callable[[str], Iterator[str]]
) -> None:
    own_prod(clone, "ingress")
    edit(FILE, "../../components/ingress", "../../components/gateway")
    rendered = render(clone, "overlays/prod", tools / "kustomize")
    assert not _kinds(rendered) & {"Ingress"}
    assert _kinds(rendered) >= {"Gateway", "HTTPRoute", "ProxySettingsPolicy", "ClientSettingsPolicy", "UpstreamSettingsPolicy"}
    certificate = next(found for found in rendered.objects if found["kind"] == "Certificate")
    assert certificate["metadata"]["labels"] == {"llm-api/http01": "gateway"}
    assert list(told("prod")) == []


def test_a_gateway_that_buffers_is_found(clone: Path, edit: Callable[[str, str, str], None], told: Callable[[str], Iterator[str]]) -> None:
    own_prod(clone, "gateway")
    edit("components/gateway/proxysettingspolicy.yaml", "disable: true", "disable: false")
    assert any("components/gateway/proxysettingspolicy.yaml" in text and "invariant 8" in text for text in told("prod"))


def test_a_certificate_after_the_gateway_is_refused(clone: Path, tools: Path) -> None:
    _overlay(clone, ["gateway", "tls"])
    with pytest.raises(RenderError, match="list components~1tls before components~1gateway"):
        render(clone, "overlays/trial", tools / "kustomize")


def test_vllm_renders_and_waits_for_upstream_mode(clone: Path, told: Callable[[str], Iterator[str]]) -> None:
    _overlay(clone, ["vllm", "tls", "ingress", "api-keys"], vllmModel="org/name", vllmRevision="0" * 40, vllmReplicas="2")
    problems = list(told("trial"))
    assert len(problems) == 1, problems
    assert "invariant 10" in problems[0]
    assert "UPSTREAM_URL" in problems[0]


def test_the_environment_is_no_part_of_what_is_applied(prod: Overlay) -> None:
    assert "ConfigMap" not in _kinds(prod.rendered)
    assert "set-by-environment" not in prod.rendered.text()


def _kinds(rendered: Rendered) -> set[str]:
    return {found["kind"] for found in rendered.objects}
