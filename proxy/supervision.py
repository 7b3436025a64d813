"""supervisord: starts the replicas, nginx and the liveness check, and restarts those that end."""

import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from llm_api.settings import Settings
from proxy import ProxyError
from proxy.settings import ProxySettings

MARGIN = 15  # seconds, added to the time that a replica may drain
CONFIGURATION = """\
; Written by `make up`.
[supervisord]
logfile={home}/logs/supervisor.log
pidfile={home}/supervisor.pid
childlogdir={home}/logs
identifier=llm-api
umask=077
[unix_http_server]
file={home}/supervisor.sock
chmod=0600
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{home}/supervisor.sock
{programs}
[program:nginx]
command={nginx} -e stderr -c {home}/nginx.conf -p {home} -g "{options}"
priority=200
autorestart=true
startsecs=4
startretries=1000
stopsignal=QUIT
stopwaitsecs={stop_seconds}
killasgroup=true
stdout_logfile={home}/logs/access.log
stderr_logfile={home}/logs/nginx.log
[eventlistener:liveness]
command={python} -m proxy.liveness {probes}
directory={root}
priority=300
events=TICK_5
autorestart=true
stderr_logfile={home}/logs/liveness.log
"""
# startsecs of nginx: it tries to bind its ports for 2.5 seconds before it fails.
# startretries: a program that fails at start is started again after 1, 2, 3, ... seconds, practically without end.
PROGRAM = """\
[program:replica-{number}]
command={python} -m proxy.replica {home}/environments.json {index}
environment=PYTHONPATH="{root}"
priority=100
autorestart=true
startsecs=5
startretries=1000
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={home}/logs/replica-{number}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=3
"""


def configuration(settings: ProxySettings, nginx: str, nginx_options: str) -> str:
    service = Settings()
    values = {
        "python": sys.executable,
        "root": Path(__file__).parents[1],
        "home": settings.home,
        "stop_seconds": int(service.lame_duck_seconds + service.drain_timeout) + MARGIN,
    }
    escaped = {name: str(value).replace("%", "%%") for name, value in values.items()}
    programs = "".join(PROGRAM.format(number=index + 1, index=index, **escaped) for index in range(settings.replicas))
    probes = " ".join(f"replica-{index + 1}={management}" for index, (_, management) in enumerate(settings.port_pairs))
    return CONFIGURATION.format(programs=programs, probes=probes, nginx=nginx, options=nginx_options, **escaped)


class Supervisor:
    """The supervisor of one PROXY_HOME."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._configuration = home / "supervisord.conf"

    @property
    def running(self) -> bool:
        return self._process() is not None

    def check_fits(self, text: str) -> None:
        """Raises ProxyError if supervisord runs with another configuration."""
        if self.running and self._configuration.read_text(encoding="utf-8") != text:
            raise ProxyError("REPLICAS, replica ports or timeouts differ from those that are running: `make down`, then `make up`")

    def ports(self) -> set[int]:
        """The TCP ports that its programs listen on."""
        process = self._process()
        programs = process.children(recursive=True) if process else []
        sockets = [each for program in programs for each in program.net_connections("tcp")]
        return {each.laddr.port for each in sockets if each.status == psutil.CONN_LISTEN}

    def start(self, text: str) -> None:
        """Raises ProxyError if supervisord does not start."""
        if self.running:
            return
        (self._home / "logs").mkdir(parents=True, exist_ok=True)
        self._configuration.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise ProxyError(f"supervisord did not start: {(done.stderr or done.stdout).strip()}")
        deadline = time.monotonic() + 10
        while not (self.running and (self._home / "supervisor.sock").exists()):
            if time.monotonic() > deadline:
                raise ProxyError(f"supervisord did not start: see {self._home}/logs/supervisor.log")
            time.sleep(0.1)

    def call(self, method: str, *arguments: Any) -> Any:
        """Calls a method of supervisor's XML-RPC interface. Raises ProxyError for an XML-RPC fault."""
        transport = SupervisorTransport(None, None, f"unix://{self._home}/supervisor.sock")
        with xmlrpc.client.ServerProxy("http://supervisor", transport=transport) as server:
            try:
                return getattr(server.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                raise ProxyError(f"supervisor {method}: {fault.faultString}") from None

    def programs(self) -> list[dict[str, Any]]:
        return list(self.call("getAllProcessInfo"))

    def stop(self) -> None:
        """Stops the liveness check, then nginx, then the replicas, each with time to drain."""
        process = self._process()
        if process is None:
            return
        self.call("shutdown")
        process.wait()

    def _process(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self._home / "supervisor.pid").read_text(encoding="utf-8")))
            return process if str(self._configuration) in process.cmdline() else None
        except (OSError, ValueError, psutil.Error):
            return None
