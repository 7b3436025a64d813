"""Flux's kustomize-controller, as a process of this machine.

In place of source-controller, `publish` serves an archive of the commit and names it in the status of the GitRepository.
"""

import hashlib
import json
import os
import subprocess
import threading
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cluster.kube import Kube
from rollout.custom_kinds import delete_kinds, install_kinds
from rollout.repository import Repository
from tenacity import RetryError

from delivery.go_tools import built

NAMESPACE = "flux-system"
KINDS = ("--beside", "source-controller", "kustomize-controller", "notification-controller")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None: ...


class Flux:
    def __init__(self, repository: Repository, folder: Path) -> None:
        self._repository, self._folder, self._kube = repository, folder, Kube(NAMESPACE)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        self._controller: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        install_kinds(*KINDS)
        self._kube.make_namespace()
        flags = ("--enable-leader-election=false", "--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0")
        with (self._folder / "controller.log").open("wb") as log:
            environment = os.environ | {"RUNTIME_NAMESPACE": NAMESPACE}
            self._controller = subprocess.Popen([built("flux") / "kustomize-controller", *flags], env=environment, stderr=log, stdout=log)

    def stop(self) -> None:
        self._server.shutdown()
        if self._controller:
            self._controller.terminate()
            self._controller.wait(timeout=30)
        self._kube.drop_finalizers("kustomizations")  # the objects that it has applied stay
        delete_kinds(*KINDS)
        self._kube.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")

    def apply(self, folder: str) -> None:
        """Applies one of clusters/*/flux, as in its README."""
        self._kube.run("apply", "--server-side", "-k", str(self._repository.folder / folder))

    def publish(self, commit: str) -> None:
        """Publishes the commit, as source-controller does once it has fetched it."""
        name = f"{commit}.tar.gz"
        self._repository.git("archive", "--format=tar.gz", "--output", str(self._folder / name), commit)
        archive = (self._folder / name).read_bytes()
        artifact = {
            "digest": f"sha256:{hashlib.sha256(archive).hexdigest()}",
            "lastUpdateTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "path": name,
            "revision": _revision(commit),
            "size": len(archive),
            "url": f"http://127.0.0.1:{self._server.server_port}/{name}",
        }
        self._kube.run(
            "patch",
            "gitrepository/llm-api",
            "--subresource=status",
            "--type=merge",
            "--patch",
            json.dumps({"status": {"artifact": artifact}}),
        )

    def wait(self, name: str, commit: str, seconds: float) -> None:
        """Waits until the Kustomization has applied the commit and is healthy."""

        def reconciled() -> bool:
            assert self._controller and self._controller.poll() is None, self._log()
            status = self._kube.get("kustomization", name).get("status", {})
            ready = [condition["status"] for condition in status.get("conditions", []) if condition["type"] == "Ready"]
            return ready == ["True"] and status.get("lastAppliedRevision") == _revision(commit)

        try:
            self._kube.until(reconciled, seconds)
        except RetryError as error:
            raise AssertionError(f"{name}: {self._kube.get('kustomization', name).get('status')}\n{self._log()}") from error

    def _log(self) -> str:
        return (self._folder / "controller.log").read_text(encoding="utf-8")[-3000:]


def _revision(commit: str) -> str:
    return f"main@sha1:{commit}"
