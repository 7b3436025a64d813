"""Edits that look harmless: the check reports each with file, field, value, invariant and fix."""

from collections.abc import Callable
from pathlib import Path

import pytest
from manifests.own_overlay import FILE, PIN, own_prod

from delivery.checks.manifests import check

Edit = Callable[[str, str, str], None]
DIGEST = f"    digest: {PIN.digest}\n"
BASE, CACHE = "base/deployment.yaml", "components/model-cache/persistentvolumeclaim.yaml"
MISTYPED = "          env: [{name: DRAIN_TIMEOUTS, value: '60'}]\n          resources:"
ENVIRONMENT, VALUES = "overlays/prod/environment.yaml", "platform/ingress-nginx/values.yaml"
SECRET = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\nstringData:\n  keys: alice\n---\n"

EDITS = {
    "unknown env var": ("overlays/prod/deployment.yaml", "          resources:", MISTYPED,
                        ("overlays/prod/deployment.yaml", "DRAIN_TIMEOUTS", "accepted-settings", "did you mean DRAIN_TIMEOUT?")),
    "missing digest": (FILE, DIGEST, "",
                       (FILE, f"{PIN.registry}:{PIN.tag}", "image-digest", "tag and digest")),
    "broken arithmetic": (BASE, "terminationGracePeriodSeconds: 340", "terminationGracePeriodSeconds: 300",
                          (BASE, "terminationGracePeriodSeconds", "value: 300", "shutdown-budget", "at least 340")),
    "plain secret": ("components/api-keys/externalsecret.yaml", "apiVersion", SECRET + "apiVersion",
                     ("components/api-keys/externalsecret.yaml", "Secret/keys data", "secret-references", "an ExternalSecret")),
    "replicas under an autoscaler": ("overlays/prod/deployment.yaml", "spec:\n", "spec:\n  replicas: 3\n",
                                     ("overlays/prod/deployment.yaml", "spec.replicas", "value: 3", "replicas-owner", "remove replicas")),
    "blocking budget": ("base/poddisruptionbudget.yaml", "maxUnavailable: 1", "minAvailable: 3",
                        ("base/poddisruptionbudget.yaml", "spec.minAvailable", "value: 3", "disruption-budget", "maxUnavailable: 1")),
    "one node's volume": (CACHE, "[ReadWriteMany]", "[ReadWriteOnce]",
                          (CACHE, "spec.accessModes", "ReadWriteOnce", "shared-cache", "[ReadWriteMany]")),
    "surge on a GPU": ("components/gpu/deployment.yaml", "maxSurge: 0", "maxSurge: 1",
                       ("components/gpu/deployment.yaml", "maxSurge", "value: 1", "gpu-rollout", "maxSurge: 0")),
    "wrong port name": ("base/service.yaml", "targetPort: http", "targetPort: web",
                        ("base/service.yaml", "targetPort", "value: web", "stable-selectors", "one of ['http', 'management']")),
    "buffered stream": ("components/ingress/ingress.yaml", 'proxy-buffering: "off"', 'proxy-buffering: "on"',
                        ("components/ingress/ingress.yaml", "proxy-buffering", "value: on", "unbuffered-streams", '"off"')),
    "a branch": (ENVIRONMENT, "  model: ", "  model: hf://org/name@main # ",
                 ("components/model-cache/", "MODEL_URI", "value: hf://org/name@main", "image-digest", "in environment.yaml")),
    "no GPU": (ENVIRONMENT, 'gpus: "1"', 'gpus: "0"',
               ("components/gpu/deployment.yaml", "value: 0", "gpu-rollout", "1 or more: gpus in environment.yaml")),
    "a time with a unit": (ENVIRONMENT, 'proxyTimeout: "3600"', "proxyTimeout: 1h",
                           ("proxy-read-timeout", "value: 1h", "unbuffered-streams", "proxyTimeout in environment.yaml")),
    "a sync that waits too short": ("clusters/prod/flux/sync.yaml", "timeout: 15000s\n", "timeout: 5m\n",
                                    ("clusters/prod/flux/sync.yaml", "spec.timeout", "value: 300s", "startup-budget", "at least 15000s")),
    "a proxy that stops too soon": (VALUES, "worker-shutdown-timeout: 310s", "worker-shutdown-timeout: 10s",
                                    (VALUES, "worker-shutdown-timeout", "value: 10s", "unbuffered-streams", "more than 300s")),
    "another namespace": (FILE, "namespace: llm-api", "namespace: llm-prod",
                               ('value: namespace="llm-api"', "known-metrics", "one of llm-prod")),
    "no keys": (FILE, "  - ../../components/api-keys\n", "", (BASE, "env HOST", "value: 0.0.0.0", "accepted-settings", "no API keys")),
}  # fmt: skip


@pytest.fixture
def findings(clone: Path, tools: Path) -> Callable[[str], list[str]]:
    own_prod(clone)
    return lambda folder: [str(found) for _, result in check(clone, tools, folder) for found in result]


@pytest.mark.parametrize("name", EDITS)
def test_a_careless_edit_is_reported_in_full(name: str, edit: Edit, findings: Callable[[str], list[str]]) -> None:
    file, old, new, expected = EDITS[name]
    edit(file, old, new)
    problems = findings("overlays/prod")
    assert any(all(part in text for part in expected) and text.count("\n") == 5 for text in problems), "\n".join(problems)


def test_a_trailing_slash_in_a_path_makes_no_difference(edit: Edit, findings: Callable[[str], list[str]]) -> None:
    edit("clusters/prod/flux/sync.yaml", "./overlays/prod", "./overlays/prod/")
    edit("clusters/prod/flux/sync.yaml", "timeout: 15000s", "timeout: 5m")
    assert any("startup-budget" in text and "spec.timeout" in text for text in findings("overlays/prod"))


@pytest.mark.parametrize("name", ["production", "prod-eu"])
def test_another_name_of_prod_does_not_avoid_its_rules(name: str, clone: Path, edit: Edit, findings: Callable[[str], list[str]]) -> None:
    edit(FILE, DIGEST, "")
    (clone / "overlays/prod").rename(clone / f"overlays/{name}")
    problems = findings(f"overlays/{name}")
    assert any("image-digest" in text for text in problems)
    assert any("startup-budget" in text and "no cluster syncs it" in text for text in problems)


def test_an_overlay_tracked_by_release_tags_is_production(clone: Path, edit: Edit, findings: Callable[[str], list[str]]) -> None:
    edit(FILE, DIGEST, "")
    (clone / "overlays/prod").rename(clone / "overlays/live")
    edit("clusters/prod/flux/sync.yaml", "./overlays/prod", "./overlays/live")
    assert any("image-digest" in text for text in findings("overlays/live"))


def test_an_unknown_field_is_reported_in_every_folder(edit: Edit, findings: Callable[[str], list[str]]) -> None:
    edit("clusters/prod/flux/sync.yaml", "prune: true", "prunes: true")
    problems = findings("clusters/prod/flux")
    assert any("clusters/prod/flux" in text and "prunes" in text and "known-fields" in text for text in problems), problems


def test_a_missing_key_of_environment_yaml_is_reported(edit: Edit, findings: Callable[[str], list[str]]) -> None:
    edit("overlays/prod/environment.yaml", "  issuer: letsencrypt", "  issuers: letsencrypt")
    [problem] = findings("overlays/prod")
    assert "issuer" in problem
