"""nginx and the replicas as processes of this machine."""

import os
import socket

from llm_api.api.keys import ApiKeys, ApiKeysError
from llm_api.cli.model import find_model, readable_progress
from llm_api.settings import Settings
from llm_api.weights.errors import WeightsError
from proxy import ProxyError, nginx, replica
from proxy.certificates import certificate
from proxy.pool import Pool, Replica, Report
from proxy.settings import ProxySettings
from proxy.supervision import Supervisor, configuration


class Processes:
    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self._supervisor = Supervisor(settings.home)
        replicas = [Replica(f"replica-{number}", *ports) for number, ports in enumerate(settings.port_pairs, 1)]
        self.pool = Pool(replicas, self._supervisor, settings.home / "logs")

    @property
    def running(self) -> bool:
        return self._supervisor.running

    def up(self, report: Report) -> str:
        """Starts nginx and the replicas. If they are up, applies changed settings without losing a request.

        Returns the model's id once all replicas are ready. Raises ProxyError; a command that is refused before it starts anything changes
        nothing.
        """
        binary = nginx.find_nginx()
        check_open(self._settings)
        home = self._settings.home
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / "nginx").mkdir(exist_ok=True, mode=0o700)
        supervised = configuration(self._settings, binary, nginx_options(self._settings))
        self._supervisor.check_fits(supervised)
        check_ports(self._settings, self._supervisor.ports())
        found = _find_model()
        nginx.install(binary, home / "nginx.conf", self._nginx_configuration(binary), nginx_options(self._settings))
        changed = replica.write(home / "environments.json", replica.environments(self._settings))
        was_running = self.running
        self._supervisor.start(supervised)
        if was_running:
            self._supervisor.call("signalProcess", "nginx", "HUP")
        if was_running and changed:
            self.pool.restart(report)
        self.pool.wait_ready(report)
        return Settings().model_name or found

    def restart(self, report: Report) -> None:
        """Raises ProxyError."""
        self._must_run()
        self.pool.restart(report)

    def down(self, report: Report) -> None:
        if self.running:
            report("stopping nginx and the replicas, once running requests have ended")
            self._supervisor.stop()

    def status(self, report: Report) -> None:
        """Raises ProxyError."""
        self._must_run()
        for condition in self.pool.conditions():
            report(f"{condition.name}: {condition.state}")

    def _must_run(self) -> None:
        if not self.running:
            raise ProxyError("nothing is running: start it with `make up`")

    def _nginx_configuration(self, binary: str) -> str:
        return nginx.render(nginx.variables(self._settings, certificate(self._settings), nginx.version(binary)))


def nginx_options(settings: ProxySettings) -> str:
    """If nginx runs as root, its workers would run as another user, who cannot enter PROXY_HOME."""
    user = "user root; " if os.geteuid() == 0 else ""
    return f"{user}daemon off; pid {settings.home}/nginx.pid;"


def check_open(settings: ProxySettings) -> None:
    """Refuses to serve other machines without API keys. The replicas listen on loopback, so they do not check this. Raises ProxyError."""
    service = Settings()
    try:
        ApiKeys(service.api_keys, service.api_keys_file)
    except ApiKeysError as error:
        raise ProxyError(str(error)) from None
    if settings.listen not in {"127.0.0.1", "::1"} and not (service.api_keys or service.api_keys_file or service.allow_anonymous):
        raise ProxyError(
            f"LISTEN {settings.listen} can be reached by other machines, and there are no API keys: set API_KEYS_FILE"
            " (`llm-api keys new NAME` prints an entry), or ALLOW_ANONYMOUS=true to serve requests without keys"
        )


def check_ports(settings: ProxySettings, ours: set[int]) -> None:
    """Raises ProxyError for the first port that another process listens on. `ours`: ports of programs that are already running."""
    nginx_ports = [("HTTPS_PORT", settings.listen, settings.https_port), ("HTTP_PORT", settings.listen, settings.http_port)]
    replica_ports = [("REPLICA_PORT", "127.0.0.1", port) for pair in settings.port_pairs for port in pair]
    for setting, address, port in nginx_ports + replica_ports:
        if port not in ours:
            try:
                socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
            except OSError as error:
                raise ProxyError(f"{setting}: {address} port {port} cannot be used ({error.strerror}): set another port") from None


def _find_model() -> str:
    """Downloads the model once, before several replicas would at the same time. Returns its name. Raises ProxyError."""
    progress = readable_progress()
    try:
        return find_model(Settings(), progress).name
    except WeightsError as error:
        raise ProxyError(str(error)) from None
