"""Ten edits that look harmless, each in a copy of the repository; the check names file, field, value, rule and fix."""

from collections.abc import Callable
from pathlib import Path

import pytest

from delivery.manifests import check

Edit = Callable[[str, str, str], None]
DIGEST = "    digest: sha256:0000000000000000000000000000000000000000000000000000000000000000\n"
BASE, CACHE = "base/deployment.yaml", "components/model-cache/persistentvolumeclaim.yaml"
MISTYPED = "          env: [{name: DRAIN_TIMEOUTS, value: '60'}]\n          resources:"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\nstringData:\n  keys: alice\n---\n"

EDITS = {
    "unknown env var": ("overlays/prod/deployment.yaml", "          resources:", MISTYPED,
                        ("overlays/prod/deployment.yaml", "DRAIN_TIMEOUTS", "invariant 10", "did you mean DRAIN_TIMEOUT?")),
    "missing digest": ("overlays/prod/kustomization.yaml", DIGEST, "",
                       ("overlays/prod/kustomization.yaml", "ghcr.io/example/llm-api:not-promoted", "invariant 7", "tag and digest")),
    "broken arithmetic": (BASE, "terminationGracePeriodSeconds: 340", "terminationGracePeriodSeconds: 300",
                          (BASE, "terminationGracePeriodSeconds", "value: 300", "invariant 2", "at least 340")),
    "plain secret": ("components/api-keys/externalsecret.yaml", "apiVersion", SECRET + "apiVersion",
                     ("components/api-keys/externalsecret.yaml", "Secret/keys data", "invariant 16", "an ExternalSecret")),
    "replicas under an autoscaler": ("overlays/prod/deployment.yaml", "spec:\n", "spec:\n  replicas: 3\n",
                                     ("overlays/prod/deployment.yaml", "spec.replicas", "value: 3", "invariant 1", "remove replicas")),
    "blocking budget": ("base/poddisruptionbudget.yaml", "maxUnavailable: 1", "minAvailable: 3",
                        ("base/poddisruptionbudget.yaml", "spec.minAvailable", "value: 3", "invariant 6", "maxUnavailable: 1")),
    "one node's volume": (CACHE, "[ReadWriteMany]", "[ReadWriteOnce]",
                          (CACHE, "spec.accessModes", "ReadWriteOnce", "invariant 14", "[ReadWriteMany]")),
    "surge on a GPU": ("components/gpu/deployment.yaml", "maxSurge: 0", "maxSurge: 1",
                       ("components/gpu/deployment.yaml", "maxSurge", "value: 1", "invariant 4", "maxSurge: 0")),
    "wrong port name": ("base/service.yaml", "targetPort: http", "targetPort: web",
                        ("base/service.yaml", "targetPort", "value: web", "invariant 13", "one of ['http', 'management']")),
    "buffered stream": ("components/ingress/ingress.yaml", 'proxy-buffering: "off"', 'proxy-buffering: "on"',
                        ("components/ingress/ingress.yaml", "proxy-buffering", "value: on", "invariant 8", '"off"')),
}  # fmt: skip


@pytest.mark.parametrize("name", EDITS)
def test_a_careless_edit_is_told_in_full(name: str, clone: Path, edit: Edit, tools: Path) -> None:
    file, old, new, expected = EDITS[name]
    edit(file, old, new)
    told = [str(found) for _, result in check(clone, tools) for found in result]
    assert any(all(part in text for part in expected) and text.count("\n") == 5 for text in told), "\n".join(told)


def test_a_field_that_nobody_knows_is_refused_in_every_folder(clone: Path, edit: Edit, tools: Path) -> None:
    edit("clusters/prod/flux/sync.yaml", "prune: true", "prunes: true")
    told = [str(found) for _, result in check(clone, tools) for found in result]
    assert any("clusters/prod/flux" in text and "prunes" in text and "invariant 15" in text for text in told), told


def test_a_key_that_a_component_needs_is_missed(clone: Path, edit: Edit, tools: Path) -> None:
    edit("overlays/prod/environment.yaml", "  issuer: letsencrypt", "  issuers: letsencrypt")
    told = [str(found) for folder, result in check(clone, tools) if folder == "overlays/prod" for found in result]
    assert len(told) == 1
    assert "issuer" in told[0]
