"""Scenario 9 of docs/proxy.md: nginx refuses invalid requests with an OpenAI error object; no replica sees them."""

import json
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest
from reverse_proxy.machine import Machine

MEBIBYTE = 2**20
CHAT = "/v1/chat/completions"
LONG_HEADER = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx: " + 20_000 * b"a" + b"\r\n\r\n"
UNREADABLE = {
    "not HTTP": (b"what is this\r\n\r\n", 400, "invalid_http"),
    "no host": (b"GET /v1/models HTTP/1.1\r\n\r\n", 400, "invalid_http"),
    "two lengths": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "invalid_http"),
    "a length that is not a number": (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: many\r\n\r\n", 400, "invalid_http"),
    "a long header": (LONG_HEADER, 431, "headers_too_large"),
    "a long line": (b"GET /" + 20_000 * b"a" + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414, "uri_too_long"),
    "a method for debugging": (b"TRACE /v1/models HTTP/1.1\r\nhost: x\r\n\r\n", 405, "method_not_allowed"),
    "too large a body": (b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 104857601\r\n\r\n", 413, "request_too_large"),
}


def connect(machine: Machine) -> ssl.SSLSocket:
    address = urlsplit(machine.url)
    assert address.hostname and address.port
    return machine.trust.wrap_socket(socket.create_connection((address.hostname, address.port), timeout=60), server_hostname="localhost")


def answer_to(connection: socket.socket, request: bytes) -> tuple[int, dict[str, str], bytes]:
    connection.sendall(request)
    received = b"".join(iter(lambda: connection.recv(65536), b""))  # nginx closes the connection after each of these requests
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split(" ")[1]), {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}, body


@pytest.fixture
def no_upstream(machine: Machine) -> Iterator[None]:
    """No request reaches a replica during the test."""
    begin = machine.log_so_far()
    yield
    end = machine.log_so_far()
    assert [entry["upstream"] for entry in machine.access_log()[begin:end] if entry["upstream"]] == []


@pytest.mark.usefixtures("no_upstream")
@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_requests_get_an_openai_error(machine: Machine, case: str) -> None:
    request, status, code = UNREADABLE[case]
    with connect(machine) as connection:
        received, headers, body = answer_to(connection, request.replace(b"host: x\r\n", b"host: x\r\nconnection: close\r\n"))
    assert received == status
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"]
    error = json.loads(body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("invalid_request_error", code)


@pytest.mark.usefixtures("no_upstream")
@pytest.mark.parametrize("protocol", ["--http1.1", "--http2"])
@pytest.mark.parametrize("path", [CHAT, "/healthz", "/nothing"])
def test_a_large_body_gets_an_openai_error_over_both_protocols(machine: Machine, protocol: str, path: str) -> None:
    command = ["curl", "--silent", protocol, "--cacert", str(machine.ca), "-H", f"content-length: {100 * MEBIBYTE + 1}", "-d", "x"]
    done = subprocess.run([*command, "-w", "\n%{http_code}", machine.url + path], capture_output=True, text=True, check=False)
    body, status = done.stdout.rsplit("\n", 1)
    assert (status, json.loads(body)["error"]["code"]) == ("413", "request_too_large")


@pytest.mark.usefixtures("no_upstream")
@pytest.mark.parametrize(
    "sent", [b"GET /v1/models HTTP/1.1\r\nhost: x\r\n", b"POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"]
)
def test_slow_senders_are_disconnected(machine: Machine, sent: bytes) -> None:
    """nginx closes the connection without a response: after 10 s for a header, after 30 s for a body (3 s in this test)."""
    with machine.edited(("client_body_timeout 30s", "client_body_timeout 3s")), connect(machine) as connection:
        started = time.monotonic()
        connection.sendall(sent)
        assert connection.recv(65536) == b""
        assert 2 < time.monotonic() - started < 20


@pytest.mark.usefixtures("no_upstream")
def test_plain_http_on_the_tls_port_gets_an_openai_error(machine: Machine) -> None:
    response = httpx2.get(machine.url.replace("https", "http"), timeout=10)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_http"


@pytest.mark.usefixtures("no_upstream")
@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/v1/../metrics", "/v1/%2e%2e/metrics", "/error.json", "/nothing", "/"])
def test_management_paths_and_unknown_paths_are_not_found(machine: Machine, path: str) -> None:
    with connect(machine) as connection:
        request = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        status, headers, body = answer_to(connection, request.encode())
    assert (status, headers["content-type"]) == (404, "application/json")
    assert json.loads(body)["error"]["code"] == "unknown_url"


def test_the_service_s_own_413_is_passed_on_and_not_retried(machine: Machine) -> None:
    begin = machine.log_so_far()
    with machine.client() as client:
        for _ in range(6):
            response = client.post(CHAT, content=20 * MEBIBYTE * b" ", headers={"content-type": "application/json"})
            assert response.status_code == 413
            assert "8388608 bytes" in response.json()["error"]["message"]
    assert [entry["upstream_status"] for entry in machine.logged_since(begin, 6)] == 6 * ["413"], "it is not retried"


def test_a_request_s_id_is_the_client_s_when_it_is_well_formed(machine: Machine) -> None:
    with machine.client() as client:
        assert client.get("/v1/models", headers={"x-request-id": "mine-1"}).headers.get_list("x-request-id") == ["mine-1"]
        assert client.get("/v1/models", headers={"x-request-id": 'a"b'}).headers["x-request-id"] != 'a"b'


def test_the_access_log_has_upstream_times_and_no_keys(machine: Machine) -> None:
    with machine.client() as client:
        client.get("/v1/models?api_key=sk-in-the-query", headers={"x-request-id": "logged-1"})
    entry = machine.logged("logged-1")
    assert entry["upstream"].startswith("127.0.0.1:")
    assert float(entry["upstream_seconds"]) >= 0
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/v1/models", 200)
    logs = "".join(log.read_text(encoding="utf-8") for log in (machine.home / "logs").iterdir())
    assert machine.key and machine.key not in logs
    assert "sk-in-the-query" not in (machine.home / "logs" / "access.log").read_text(encoding="utf-8")
