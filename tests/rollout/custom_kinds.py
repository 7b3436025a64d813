"""The kinds that controllers bring: their own CRDs, from the Go modules that tools/schemas pins."""

import subprocess
import sys

from cluster.conftest import ROOT
from cluster.kube import Kube


def bring_kinds(*modules: str) -> None:
    """`modules`: parts of their names, such as cert-manager; `--beside` for kinds that the tree does not use, too."""
    kube = Kube("default")
    kube.run("apply", "--server-side", "-f", "-", text=_crds(*modules))
    kube.run("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")


def drop_kinds(*modules: str) -> None:
    Kube("default").run("delete", "--ignore-not-found", "--timeout=60s", "-f", "-", text=_crds(*modules))


def _crds(*modules: str) -> str:
    go = subprocess.run([ROOT / "tools/go"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    command = [sys.executable, str(ROOT / "tools/schemas/modules.py"), "--go", go, *modules]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
