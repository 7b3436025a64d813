"""Which requests nginx retries. Scripted servers replace the replicas, because real ones cannot crash or stall on demand."""

import shutil
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import httpx2
import pytest
from reverse_proxy.conftest import FIRST_PORT
from reverse_proxy.machine import KEPT, Change, changed

from proxy import nginx
from proxy.certificates import certificate
from proxy.processes import nginx_options
from proxy.settings import ProxySettings

PORT = FIRST_PORT + 120
REPLICAS = 3
Answer = Callable[["Scripted"], None]


class Scripted(StreamRequestHandler):
    server: "ScriptedServer"

    def handle(self) -> None:
        """Serves one request after another while nginx keeps the connection and the answer does not break it."""
        self.keeps = True
        while self.keeps and (line := self.rfile.readline()):
            self.keeps = False
            length = 0
            while (line := line.strip().lower()) != b"":
                length = int(line.split(b":")[1]) if line.startswith(b"content-length") else length
                line = self.rfile.readline()
            self.rfile.read(length)
            self.server.met += 1
            with suppress(OSError):
                self.server.answer(self)


class ScriptedServer(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), Scripted)
        self.met = 0
        self.answer: Answer = status(200)


def status(code: int, body: str = '{"from":"a replica"}') -> Answer:
    head = f"HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"

    def write(connection: Scripted) -> None:
        connection.wfile.write((head + body).encode())
        connection.keeps = True

    return write


def die(_connection: Scripted) -> None:
    """Like a process that crashes on the request: sends nothing."""


def stall(_connection: Scripted) -> None:
    time.sleep(5)


def break_off(connection: Scripted) -> None:
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-accel-buffering: no\r\ntransfer-encoding: chunked\r\n\r\n"
    connection.wfile.write((head + "8\r\ndata: 1\n\r\n").encode())


@dataclass
class Stage:
    replicas: list[ScriptedServer]
    client: httpx2.Client
    edited: bool

    def all_answer(self, answer: Answer) -> None:
        for replica in self.replicas:
            replica.answer = answer

    def ask(self) -> httpx2.Response:
        return self.client.post("/v1/chat/completions", json={})

    @property
    def met(self) -> list[int]:
        return sorted(replica.met for replica in self.replicas)


@contextmanager
def running_nginx(settings: ProxySettings, edits: tuple[Change, ...]) -> Iterator[None]:
    binary = nginx.find_nginx()
    (settings.home / "nginx").mkdir(parents=True)
    text = nginx.render(nginx.variables(settings, certificate(settings), nginx.version(binary)))
    configuration = settings.home / "nginx.conf"
    configuration.write_text(changed(text, ("proxy_read_timeout 3600s", "proxy_read_timeout 1s"), *edits), encoding="utf-8")
    command = [binary, "-e", "stderr", "-c", str(configuration), "-p", str(settings.home), "-g", nginx_options(settings)]
    with (settings.home / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    edits: tuple[Change, ...] = getattr(request, "param", ())
    home = Path(tempfile.mkdtemp(prefix="llm-api-proxy-"))
    settings = ProxySettings(proxy_home=home, https_port=PORT, http_port=PORT + 1, replica_port=PORT + 2, replicas=REPLICAS)
    replicas = [ScriptedServer(port) for port, _ in settings.port_pairs]
    for replica in replicas:
        threading.Thread(target=replica.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    with running_nginx(settings, edits):
        trust = ssl.create_default_context(cafile=str(home / "tls" / "ca.pem"))
        with httpx2.Client(base_url=f"https://127.0.0.1:{PORT}", verify=trust, timeout=30) as client:
            wait_until_it_listens(client)
            yield Stage(replicas, client, bool(edits))
    for replica in replicas:
        replica.shutdown()
        replica.server_close()
    shutil.rmtree(home)


def wait_until_it_listens(client: httpx2.Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(httpx2.HTTPError):
            client.get("/healthz")
            return
        time.sleep(0.1)
    raise AssertionError("nginx does not listen")


@pytest.mark.parametrize("stage", [(), KEPT], indirect=True, ids=["default", "control: connections are kept"])
def test_a_request_that_crashes_replicas_reaches_two_at_most(stage: Stage) -> None:
    """Also after other requests: a kept connection that breaks does not count as an attempt, so a third replica would crash."""
    with ThreadPoolExecutor(24) as clients:
        list(clients.map(lambda _: stage.ask(), range(48)))
    before = {replica: replica.met for replica in stage.replicas}
    stage.all_answer(die)
    response = stage.ask()
    met = sorted(replica.met - before[replica] for replica in stage.replicas)
    if stage.edited:
        assert met == [1, 1, 1]
        return
    assert response.status_code == 502
    assert response.json()["error"]["code"] == "bad_gateway"
    assert met == [0, 1, 1]


def test_a_503_is_retried_on_another_replica(stage: Stage) -> None:
    for _ in range(6):
        stage.all_answer(status(200))
        stage.replicas[0].answer = status(503)
        assert stage.ask().status_code == 200


def test_if_the_second_replica_returns_503_too_its_body_is_passed_on(stage: Stage) -> None:
    stage.all_answer(status(503))
    response = stage.ask()
    assert (response.status_code, response.text) == (503, '{"from":"a replica"}')
    assert response.headers["retry-after"] == "1"
    assert stage.met == [0, 1, 1]


def test_a_draining_replica_while_the_others_are_gone_gives_503_not_502(stage: Stage) -> None:
    draining, *others = stage.replicas
    for replica in others:
        replica.answer = die
    while not all(replica.met for replica in others):  # nginx then avoids them for two seconds
        stage.ask()
    draining.answer = status(503)
    response = stage.ask()
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "service_unavailable"
    assert response.headers["retry-after"] == "1"


@pytest.mark.parametrize("code", [400, 401, 429, 500, 504])
def test_any_other_status_is_passed_on_without_a_retry(stage: Stage, code: int) -> None:
    stage.all_answer(status(code))
    response = stage.ask()
    assert (response.status_code, response.text) == (code, '{"from":"a replica"}')
    assert sum(stage.met) == 1


def test_a_timeout_gives_504_and_is_not_retried(stage: Stage) -> None:
    """The timeout is 3600 s, and 1 s in this test."""
    stage.all_answer(stall)
    response = stage.ask()
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "timeout"
    assert sum(stage.met) == 1


def test_a_stream_that_has_begun_breaks_visibly_and_is_never_retried(stage: Stage) -> None:
    stage.all_answer(break_off)
    with pytest.raises(httpx2.RemoteProtocolError):
        stage.ask()
    assert sum(stage.met) == 1
