"""The API server, admission and the kubelet accept the overlays, and a client is served."""

from pathlib import Path

import httpx2
import pytest
from cluster.conftest import ROOT
from cluster.kube import Kube
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam

from delivery.rendering import render

MODEL = "SmolLM2-135M-Instruct"


@pytest.fixture
def client(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("overlay", sorted(path.name for path in (ROOT / "overlays").iterdir() if path.is_dir()))
def test_the_api_server_accepts_all_builtin_kinds(kube: Kube, kustomize: Path, overlay: str) -> None:
    kinds = {line.split()[-1] for line in kube.run("api-resources", "--no-headers", "--verbs", "create").stdout.splitlines()}
    manifests = [manifest for manifest in render(ROOT, f"overlays/{overlay}", kustomize).objects if manifest["kind"] in kinds]
    assert {"Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget"} <= {manifest["kind"] for manifest in manifests}
    for job in (manifest for manifest in manifests if manifest["kind"] == "Job"):
        job["metadata"]["name"] += "-dry-run"  # a Job's template is immutable, and one ran here; Argo CD deletes it first
    kube.apply(manifests, "--dry-run=server")


def test_the_client_gets_an_answer_and_a_stream_through_the_service(client: OpenAI) -> None:
    question: ChatCompletionUserMessageParam = {"role": "user", "content": "What is Kubernetes?"}
    answer = client.chat.completions.create(model=MODEL, messages=[question], max_tokens=30, temperature=0)
    text = answer.choices[0].message.content or ""
    assert "Kubernetes" in text
    chunks = list(client.chat.completions.create(model=MODEL, messages=[question], max_tokens=30, temperature=0, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text


def test_the_smoke_job_passes_through_the_service(kube: Kube) -> None:
    kube.run("wait", "job/llm-api-smoke", "--for=condition=Complete", "--timeout=120s")
    said = kube.run("logs", "job/llm-api-smoke").stdout.splitlines()
    assert [line.split(" ok")[0] for line in said] == ["models", "chat", "stream"]


def test_the_management_port_is_not_behind_the_service(url: str, kube: Kube) -> None:
    for path in ("/metrics", "/readyz", "/livez"):
        assert httpx2.get(url + path).status_code == 404, path
    [service] = [item for item in kube.get("services")["items"] if item["metadata"]["name"] == "llm-api"]
    assert [port["targetPort"] for port in service["spec"]["ports"]] == ["http"]


def test_pods_run_under_the_restricted_standard(kube: Kube) -> None:
    namespace = kube.get("namespace", kube.namespace)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    refused = kube.run("run", "root", "--image=scratch", "--dry-run=server", check=False)
    assert "violates PodSecurity" in refused.stderr


def test_nothing_is_written_outside_the_declared_paths(kube: Kube) -> None:
    pod = kube.pods()[0]["metadata"]["name"]
    assert kube.run("exec", pod, "--", "sh", "-c", "id -u").stdout.strip() == "10001"
    assert kube.run("exec", pod, "--", "sh", "-c", "echo x > /opt/x", check=False).returncode != 0
    assert "Read-only file system" in kube.run("exec", pod, "--", "sh", "-c", "echo x > /opt/x || true").stderr
    kube.run("exec", pod, "--", "sh", "-c", "echo x > /tmp/x && echo x > /var/cache/llm-api/x")
