"""A thin wrapper of kubectl."""

import json
import subprocess
from collections.abc import Callable, Iterable
from typing import Any

import yaml
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

Manifest = dict[str, Any]


class Kube:
    """One namespace of the cluster of KUBECONFIG."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def run(self, *arguments: str, text: str | None = None, check: bool = True) -> "subprocess.CompletedProcess[str]":
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done

    def apply(self, manifests: Iterable[Manifest], *options: str) -> str:
        return self.run("apply", "--server-side", "--force-conflicts", *options, "-f", "-", text=yaml.safe_dump_all(manifests)).stdout

    def get(self, *what: str) -> Any:
        return json.loads(self.run("get", *what, "-o", "json").stdout)

    def pods(self, name: str = "llm-api") -> list[Manifest]:
        """The pods that are not terminating."""
        pods: list[Manifest] = self.get("pods", "-l", f"app.kubernetes.io/name={name}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def patch(self, what: str, change: Manifest) -> None:
        self.run("patch", what, "--type", "strategic", "--patch", json.dumps(change))

    def drop_finalizers(self, kind: str) -> None:
        """Removes the finalizers of all objects of a kind, if the controller that would remove them is gone."""
        for name in self.run("get", kind, "-o", "name", check=False).stdout.split():
            done = self.run("patch", name, "--type=merge", "--patch", '{"metadata": {"finalizers": null}}', check=False)
            assert done.returncode == 0 or "NotFound" in done.stderr, done.stderr

    def rolled_out(self, deployment: str = "llm-api", seconds: int = 300) -> None:
        self.run("rollout", "status", f"deployment/{deployment}", f"--timeout={seconds}s")

    def until(self, condition: Callable[[], bool], seconds: float) -> None:
        """Waits until the condition is true. Raises tenacity.RetryError after `seconds`."""
        retry(retry=retry_if_result(lambda held: not held), stop=stop_after_delay(seconds), wait=wait_fixed(0.5))(condition)()

    def make_namespace(self) -> None:
        """Creates the namespace, once an earlier one with this name has terminated."""
        self.until(lambda: "Terminating" not in self.run("get", "namespace", self.namespace, check=False).stdout, 400)
        self.run("create", "namespace", self.namespace, check=False)

    def drop_namespace(self) -> None:
        """Deletes the namespace and waits. Pods get no grace period, because the namespace would wait for it."""
        self.drop_finalizers("jobs")  # set by Argo CD, whose sync may have been interrupted
        self.run("delete", "deployments,jobs", "--all", "--wait=false", check=False)
        self.run("delete", "pods", "--all", "--grace-period=1", "--timeout=60s", check=False)
        self.run("delete", "namespace", self.namespace, "--ignore-not-found", "--timeout=300s")
