"""nginx and the replicas as containers: compose.yaml, with this machine's certificate."""

import os
import subprocess
from pathlib import Path

from llm_api.settings import DEFAULT_MODEL_URI, Settings
from proxy import ProxyError
from proxy.certificates import certificate
from proxy.nginx import PROBE, REPLICA
from proxy.pool import Report
from proxy.processes import check_open
from proxy.settings import ProxySettings

FILE = Path(__file__).with_name("compose.yaml")
ADDRESS = "172.31.77.{host}"
PORT, MANAGEMENT_PORT = 8000, 8001
DEFAULT_MODEL = "SmolLM2-135M-Instruct"
MAX_REPLICAS = 3  # of compose.yaml


class Compose:
    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings

    def up(self, report: Report) -> str:
        """Returns the model's id, or MODEL where only the containers know it. Raises ProxyError."""
        if self._settings.replicas > MAX_REPLICAS or (self._settings.replicas < MAX_REPLICAS and not self._settings.gpu):
            raise ProxyError(f"REPLICAS is {self._settings.replicas}, but compose.yaml has {MAX_REPLICAS}: edit it for another number")
        check_open(self._settings)
        report("starting the containers")
        self._docker("up", "--detach", "--wait")
        service = Settings()
        return service.model_name or (DEFAULT_MODEL if service.model_uri == DEFAULT_MODEL_URI else "MODEL")

    def down(self, report: Report) -> None:
        report("stopping nginx, then the replicas, once running requests have ended")
        self._docker("stop", "nginx")
        self._docker("down")

    def restart(self, report: Report) -> None:
        """Drains and restarts one replica after another."""
        for service in self._services():
            report(f"{service}: restarting")
            self._docker("up", "--detach", "--wait", "--no-deps", "--force-recreate", service)

    def status(self, _report: Report) -> None:
        self._docker("ps")

    def _services(self) -> list[str]:
        return [f"{'gpu' if self._settings.gpu else 'replica'}-{number}" for number in range(1, self._settings.replicas + 1)]

    def _docker(self, *arguments: str) -> None:
        profiles = ["gpu", "gpu-2", "gpu-3"][: self._settings.replicas] if self._settings.gpu else ["cpu"]
        options = [part for profile in profiles for part in ("--profile", profile)]
        command = ["docker", "compose", "--file", str(FILE), *options, *arguments]
        try:
            done = subprocess.run(command, env=os.environ | self._environment(), check=False)  # noqa: S603
        except FileNotFoundError:
            raise ProxyError("docker is not installed: install it, or set RUNTIME=processes to run without containers") from None
        if done.returncode:
            raise ProxyError(f"`docker compose {arguments[0]}` failed; the reason is above")

    def _environment(self) -> dict[str, str]:
        hosts = range(11, 11 + self._settings.replicas)
        used = certificate(self._settings)
        service = Settings()
        open_to_all = not (service.api_keys or service.api_keys_file)
        keys = service.api_keys_file.read_text(encoding="utf-8") if service.api_keys_file else service.api_keys or ""
        return {
            "TLS_CERTIFICATE": str(used.chain),
            "TLS_KEY": str(used.key),
            "SERVERS": " ".join(REPLICA.format(host=ADDRESS.format(host=host), port=PORT) for host in hosts),
            "PROBES": " ".join(PROBE.format(host=ADDRESS.format(host=host), port=MANAGEMENT_PORT) for host in hosts),
            "NUM_THREADS": str(self._settings.threads),
            "API_KEYS": keys,
            "ALLOW_ANONYMOUS": str(open_to_all).lower(),
        }
