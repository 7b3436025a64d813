"""CRDs of controllers, from the Go modules that tools/schemas pins."""

import subprocess
import sys

from cluster.conftest import ROOT
from cluster.kube import Kube


def install_kinds(*modules: str) -> None:
    """Installs CRDs. `modules`: parts of module names, such as cert-manager; `--beside` adds kinds that the repository does not use."""
    kube = Kube("default")
    kube.run("apply", "--server-side", "-f", "-", text=_crds(*modules))
    kube.run("wait", "crd", "--all", "--for=condition=Established", "--timeout=30s")


def delete_kinds(*modules: str) -> None:
    Kube("default").run("delete", "--ignore-not-found", "--timeout=60s", "-f", "-", text=_crds(*modules))


def _crds(*modules: str) -> str:
    go = subprocess.run([ROOT / "tools/go"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    command = [sys.executable, str(ROOT / "tools/schemas/modules.py"), "--go", go, *modules]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
