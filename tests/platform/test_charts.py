"""`make platform` on a test chart with the real helm. The target itself renders the pinned charts, online."""

import subprocess
import sys
from pathlib import Path

import pytest
from copied_tree import ROOT, Edit, copy_tree, editor

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
spec:
  replicas: {{ .Values.replicaCount }}
  selector: {matchLabels: {app: it}}
  template:
    metadata: {labels: {app: it}}
    spec:
      containers: [{name: it, image: "it:1"}]
---
apiVersion: its-own/v1
kind: Kind
metadata: {name: it}
spec: {replicas: {{ required "replicaCount is needed" .Values.replicaCount }}}
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    copy_tree(tmp_path, "platform/cert-manager", "tools/schemas")
    chart = tmp_path / "charts/cert-manager"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: cert-manager\nversion: v1.21.2\n")
    (chart / "templates/all.yaml").write_text(DEPLOYMENT)
    (tmp_path / "build").mkdir()
    return tmp_path


@pytest.fixture
def edit(tree: Path) -> Edit:
    return editor(tree)


def platform(tree: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "delivery", "platform", "--root", str(tree), *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def rendered(tree: Path) -> "subprocess.CompletedProcess[str]":
    return platform(tree, "--charts", str(tree / "charts"))


def test_a_chart_is_rendered_with_the_values_of_its_folder(tree: Path) -> None:
    done = rendered(tree)
    assert (done.returncode, done.stdout) == (0, "cert-manager: v1.21.2, 2 objects\n"), done.stderr


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("replicas: 2", "replicaCount is needed"),
        ("replicaCount: two", "Deployment/cert-manager spec.replicas: Kubernetes 1.35, 1.36, 1.37"),
    ],
    ids=["missing", "of the wrong type"],
)
def test_a_value_that_the_chart_rejects_is_reported(tree: Path, edit: Edit, value: str, problem: str) -> None:
    edit("platform/cert-manager/values.yaml", "\nreplicaCount: 2\n", f"\n{value}\n")
    done = rendered(tree)
    assert done.returncode == 1
    assert problem in done.stderr


def test_an_object_in_another_namespace_is_reported(tree: Path, edit: Edit) -> None:
    edit("charts/cert-manager/templates/all.yaml", "{{ .Release.Namespace }}", "kube-system")
    done = rendered(tree)
    assert done.returncode == 1
    assert "Deployment/cert-manager is in kube-system" in done.stderr


def test_a_repository_that_cannot_be_reached_fails(tree: Path, edit: Edit) -> None:
    edit("platform/cert-manager/helmrepository.yaml", "https://charts.jetstack.io", "http://127.0.0.1:9")
    done = platform(tree)
    assert done.returncode == 1
    assert done.stderr.startswith("cert-manager: cert-manager v1.21.2: Error: ")
