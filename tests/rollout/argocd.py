"""An Argo CD Application: its status, and waiting for it."""

from collections.abc import Callable
from typing import Any

from cluster.kube import Kube
from tenacity import RetryError

NAMESPACE = "argocd"
REFRESH = "argocd.argoproj.io/refresh"
STOP = '[{"op": "remove", "path": "/operation"}]'


class Application:
    def __init__(self, name: str) -> None:
        self._kube, self._name = Kube(NAMESPACE), name

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self._kube.get("application", self._name).get("status", {})
        return status

    @property
    def health(self) -> str:
        return str(self.status.get("health", {}).get("status"))

    def delivered(self, commit: str) -> bool:
        """Whether the commit is synced, hooks included, and healthy."""
        status = self.status
        operation = status.get("operationState", {})
        return bool(
            status.get("sync", {}).get("status") == "Synced"
            and status["sync"].get("revisions") == [commit]
            and operation.get("phase") == "Succeeded"
            and operation["syncResult"].get("revisions") == [commit]
            and status["health"]["status"] == "Healthy"
        )

    def failed(self, commit: str) -> bool:
        """Whether a sync of the commit has failed. Argo CD may be about to retry."""
        operation = self.status.get("operationState", {})
        tried = operation.get("syncResult", {}).get("revisions") == [commit]
        again = operation.get("phase") == "Running" and operation.get("retryCount", 0) > 0
        return tried and (again or operation.get("phase") in {"Failed", "Error"})

    @property
    def messages(self) -> list[str]:
        """The message for each object of the last sync."""
        resources = self.status.get("operationState", {}).get("syncResult", {}).get("resources", [])
        return [f"{found['group']}/{found['kind']}/{found['name']}: {found.get('message', '')}" for found in resources]

    def refresh(self) -> None:
        """Makes Argo CD poll git now, as a webhook does; otherwise it polls every three minutes."""
        self._kube.run("annotate", "application", self._name, f"{REFRESH}=normal", "--overwrite")

    def forget(self) -> None:
        """Deletes the Application, even during a sync. The objects that it has synced stay."""
        self._kube.run("patch", "application", self._name, "--type", "json", "--patch", STOP, check=False)
        self._kube.run("delete", "application", self._name, "--ignore-not-found", "--timeout=60s")

    def wait(self, commit: str, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Waits until the commit is delivered, and calls `meanwhile` repeatedly."""
        self.refresh()

        def delivered() -> bool:
            meanwhile()
            return self.delivered(commit)

        try:
            self._kube.until(delivered, seconds)
        except RetryError as error:
            status = self.status
            state = {key: status.get(key) for key in ("sync", "health", "conditions")}
            raise AssertionError(f"{self._name} did not deliver {commit}: {state} {status.get('operationState')}") from error

    def compare_again(self) -> None:
        """Waits until Argo CD has compared git with the cluster again."""
        self.refresh()
        self._kube.until(lambda: REFRESH not in self._kube.get("application", self._name)["metadata"].get("annotations", {}), 60)
