"""Scenario 9 of docs/proxy.md: TLS versions, certificate chain, redirect, HTTP/2, and the openai client with the CA."""

import os
import socket
import ssl
import subprocess
import sys
from urllib.parse import urlsplit

import httpx2
import pytest
from reverse_proxy.machine import Machine

SCRIPT = """
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1] + "/v1", api_key=sys.argv[2], max_retries=0)
question = [{"role": "user", "content": "What is Kubernetes?"}]
chunks = client.chat.completions.create(model=client.models.list().data[0].id, messages=question, max_tokens=4, stream=True)
print(sum(bool(chunk.choices[0].delta.content) for chunk in chunks))
"""


def handshake(machine: Machine, context: ssl.SSLContext) -> ssl.SSLSocket:
    address = urlsplit(machine.url)
    assert address.hostname and address.port
    connection = socket.create_connection((address.hostname, address.port), timeout=10)
    return context.wrap_socket(connection, server_hostname="localhost")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_current_tls_versions_are_accepted(machine: Machine, version: ssl.TLSVersion) -> None:
    context = machine.trust
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with handshake(machine, context) as connection:
        assert connection.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
        assert connection.selected_alpn_protocol() == "h2"


@pytest.mark.filterwarnings("ignore:.*TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_an_old_tls_version_is_refused(machine: Machine) -> None:
    context = machine.trust
    context.set_ciphers("ALL:@SECLEVEL=0")  # else the client would not offer this version
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="(?i)alert protocol version"):
        handshake(machine, context)


def test_a_client_that_does_not_trust_the_ca_does_not_connect(machine: Machine) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(machine, ssl.create_default_context())


def test_only_the_owner_can_read_the_keys(machine: Machine) -> None:
    keys = list((machine.home / "tls").glob("*.key"))
    assert len(keys) == 2
    assert [oct(key.stat().st_mode & 0o777) for key in keys] == ["0o600", "0o600"]


def test_a_second_start_keeps_the_certificates_and_the_replicas(machine: Machine) -> None:
    before = machine.ca.read_text(), (machine.home / "tls" / "server.pem").read_text(), machine.pid("replica-1")
    printed = machine.run("up")
    assert (machine.ca.read_text(), (machine.home / "tls" / "server.pem").read_text(), machine.pid("replica-1")) == before
    assert f"curl --cacert {machine.ca} https://" in printed


def test_plain_http_is_redirected_and_keeps_its_method(machine: Machine) -> None:
    response = httpx2.post(f"{machine.plain_url}/v1/models?a=1", timeout=10)
    assert response.status_code == 308
    assert response.headers["location"] == f"{machine.url}/v1/models?a=1"


def test_hsts_is_sent_except_for_localhost(machine: Machine) -> None:
    with machine.client() as client:
        assert client.get("/healthz", headers={"host": "api.example.com"}).headers["strict-transport-security"] == "max-age=31536000"
        assert "strict-transport-security" not in client.get("/healthz", headers={"host": "localhost"}).headers


def test_http_2_serves_requests(machine: Machine) -> None:
    command = ["curl", "--silent", "--show-error", "--http2", "--cacert", str(machine.ca), "--write-out", "%{http_version} %{http_code}"]
    key = ["--header", f"authorization: Bearer {machine.key}"]
    done = subprocess.run([*command, *key, "--output", "/dev/null", f"{machine.url}/v1/models"], capture_output=True, text=True, check=True)
    assert done.stdout == "2 200"


def test_the_openai_client_streams_with_the_ca_in_its_environment(machine: Machine) -> None:
    environment = {**os.environ, "SSL_CERT_FILE": str(machine.ca)}
    command = [sys.executable, "-c", SCRIPT, machine.url, machine.key or ""]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 4
