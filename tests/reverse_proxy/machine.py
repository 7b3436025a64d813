"""A deployment of `make up` with its own ports and folder: real nginx, real supervisord, real replicas."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
from counted_load import Load

from proxy.supervision import Supervisor

ROOT = Path(__file__).parents[2]
REPLICAS = 3
START_SECONDS = 400
LOG_SECONDS = 10
RETRIES = "proxy_next_upstream error http_503 non_idempotent;"
NO_RETRIES = "proxy_next_upstream off;"
Change = tuple[str, str]  # of nginx.conf: an old text and a new one
# nginx keeps connections to replicas, as most configurations do.
KEPT: tuple[Change, ...] = (
    ("least_conn;", "least_conn; keepalive 64;"),
    ("proxy_set_header Connection close;", 'proxy_set_header Connection "";'),
)
SMALL = {"NUM_THREADS": "1", "KV_CACHE_MEMORY": "256MiB", "RUNTIME": "processes"}


def changed(configuration: str, *changes: Change) -> str:
    for old, new in changes:
        assert old in configuration, f"nginx.conf has no {old!r}"
        configuration = configuration.replace(old, new)
    return configuration


class Machine:
    def __init__(self, first_port: int, *, key: str | None = None, **environment: str) -> None:
        """Uses `first_port` and the next 20 ports. `environment`: settings, over defaults that suit a test."""
        self.home = Path(tempfile.mkdtemp(prefix="llm-api-proxy-"))  # short: the path of a Unix socket has at most 107 characters
        self.key = key
        places = {"HTTPS_PORT": first_port, "HTTP_PORT": first_port + 1, "REPLICA_PORT": first_port + 2, "PROXY_HOME": self.home}
        self._environment = os.environ | SMALL | {name: str(value) for name, value in places.items()} | environment
        self.url, self.plain_url = f"https://127.0.0.1:{first_port}", f"http://127.0.0.1:{first_port + 1}"
        self.replica_port = first_port + 2
        self.supervisor = Supervisor(self.home)

    def run(self, command: str) -> str:
        """`python -m proxy COMMAND`, as the make targets do. Returns its output."""
        done = self._run(command, {})
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, command: str, **environment: str) -> str:
        """Runs a command that must fail, with other settings. Returns its error output."""
        done = self._run(command, environment)
        assert done.returncode in {1, 2}, f"{command}: {done.stdout}{done.stderr}"
        return done.stderr

    def _run(self, command: str, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        arguments, environment = [sys.executable, "-m", "proxy", command], self._environment | environment
        return subprocess.run(arguments, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=START_SECONDS, check=False)

    def remove(self) -> None:
        self.run("down")
        shutil.rmtree(self.home)

    @property
    def ca(self) -> Path:
        return self.home / "tls" / "ca.pem"

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca))

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"} if self.key else {}

    def client(self, **options: Any) -> httpx2.Client:
        return httpx2.Client(base_url=self.url, verify=self.trust, **{"timeout": 120, "headers": self.headers, **options})

    def async_client(self, **options: Any) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url=self.url, verify=self.trust, **{"timeout": 120, "headers": self.headers, **options})

    def load(self, *, first_loss_is_enough: bool = False) -> Load:
        return Load(self.url, verify=self.trust, key=self.key, first_loss_is_enough=first_loss_is_enough)

    def pid(self, name: str) -> int:
        return int(self.supervisor.call("getProcessInfo", name)["pid"])

    def engine(self, name: str) -> psutil.Process:
        (child,) = psutil.Process(self.pid(name)).children()
        return child

    def kill(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGKILL)

    def stop(self, *names: str) -> None:
        """Sends SIGTERM, and returns once the programs have drained and ended."""
        for name in names:
            self.supervisor.call("stopProcess", name)

    def start(self, *names: str) -> None:
        for name in names:
            self.supervisor.call("startProcess", name, False)

    def probe(self, number: int, path: str = "/readyz") -> int:
        """The status of a path on a replica's management port; 0 if nothing listens."""
        try:
            return httpx2.get(f"http://127.0.0.1:{self.replica_port + 2 * number - 1}{path}", timeout=5).status_code
        except httpx2.HTTPError:
            return 0

    def wait_ready(self, replicas: int = REPLICAS) -> None:
        self.until(lambda: all(self.probe(number) == 200 for number in range(1, replicas + 1)))

    def running_requests(self, replicas: int = REPLICAS) -> float:
        """The sum over the replicas, from their metrics."""
        return sum(self.metric(number, "llm_num_requests_running") for number in range(1, replicas + 1))

    def metric(self, number: int, name: str) -> float:
        text = httpx2.get(f"http://127.0.0.1:{self.replica_port + 2 * number - 1}/metrics", timeout=5).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)

    def access_log(self) -> list[dict[str, Any]]:
        lines = (self.home / "logs" / "access.log").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def log_so_far(self) -> int:
        """The number of entries in the access log, once all earlier requests are in it."""
        with self.client() as client:
            self.logged(client.get("/until-here").headers["x-request-id"])
        return len(self.access_log())

    def logged_since(self, begin: int, requests: int) -> list[dict[str, Any]]:
        """The access log from entry `begin` on, once it has `requests` more entries: they are written after the responses."""
        self.until(lambda: len(self.access_log()) >= begin + requests, LOG_SECONDS)
        return self.access_log()[begin:]

    def logged(self, request_id: str) -> dict[str, Any]:
        """The access log's entry of a request, once it is there."""
        self.until(lambda: any(entry["request_id"] == request_id for entry in self.access_log()), LOG_SECONDS)
        return next(entry for entry in self.access_log() if entry["request_id"] == request_id)

    def upstream_of(self, number: int) -> str:
        """The replica's address, as in the access log."""
        return f"127.0.0.1:{self.replica_port + 2 * (number - 1)}"

    @contextmanager
    def edited(self, *changes: Change) -> Iterator[None]:
        """Changes nginx's configuration temporarily."""
        file = self.home / "nginx.conf"
        before = file.read_text(encoding="utf-8")
        after = changed(before, *changes)
        try:
            self._reload(file, after)
            yield
        finally:
            self._reload(file, before)

    def _reload(self, file: Path, text: str) -> None:
        """Returns once new workers serve and old workers accept no more connections."""
        file.write_text(text, encoding="utf-8")
        master = psutil.Process(self.pid("nginx"))
        old = {worker.pid for worker in master.children()}
        self.supervisor.call("signalProcess", "nginx", "HUP")
        self.until(lambda: any(worker.pid not in old for worker in master.children()) and not any(map(accepts_connections, old)))

    def until(self, condition: Callable[[], bool], seconds: float = START_SECONDS) -> float:
        """Waits until the condition is true. Returns the seconds that it took."""
        started = time.monotonic()
        while not condition():
            assert time.monotonic() - started < seconds, f"the condition was not true within {seconds:.0f} s"
            time.sleep(0.2)
        return time.monotonic() - started


def accepts_connections(worker: int) -> bool:
    try:
        return "shutting down" not in " ".join(psutil.Process(worker).cmdline())
    except psutil.NoSuchProcess:
        return False
