"""A refused command prints the reason in one line and changes nothing that is running."""

import socket
from pathlib import Path

import pytest
from reverse_proxy.conftest import FIRST_PORT
from reverse_proxy.machine import Machine

from proxy import ProxyError
from proxy.pool import Pool, Replica

TAKEN = FIRST_PORT + 160
REFUSED = {
    "other ports for the replicas": ({"REPLICA_PORT": str(FIRST_PORT + 60)}, "`make down`, then `make up`"),
    "a port that another process has": ({"HTTPS_PORT": str(TAKEN)}, f"HTTPS_PORT: 127.0.0.1 port {TAKEN} cannot be used"),
    "one port for both": ({"HTTP_PORT": str(FIRST_PORT)}, "HTTPS_PORT has the same value"),
    "a certificate that is not there": ({"TLS_CERTIFICATE": "/nope.pem", "TLS_KEY": "/nope.key"}, "/nope.pem"),
    "a file of keys that is not there": ({"API_KEYS_FILE": "/nope.txt"}, "/nope.txt"),
    "no name for the certificate": ({"TLS_NAMES": ","}, "TLS_NAMES"),
    "a folder with a space": ({"PROXY_HOME": "/tmp/a b"}, "PROXY_HOME"),  # noqa: S108
    "a folder in a file": ({"PROXY_HOME": "/etc/hostname/x"}, "/etc/hostname/x"),
    "a folder too long for a socket": ({"PROXY_HOME": "/tmp/" + 100 * "x"}, "PROXY_HOME"),  # noqa: S108
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_command_prints_the_reason_and_changes_nothing(machine: Machine, case: str) -> None:
    settings, reason = REFUSED[case]
    files = [machine.home / name for name in ("nginx.conf", "environments.json", "supervisord.conf")]
    before = [file.read_bytes() for file in files]
    with socket.create_server(("127.0.0.1", TAKEN)):
        message = machine.refused("up", **settings)
    assert message.startswith("proxy: ")
    assert reason in message
    assert "Traceback" not in message
    assert [file.read_bytes() for file in files] == before
    with machine.client() as client:
        assert client.get("/v1/models").status_code == 200


def test_restarting_the_only_replica_is_announced_to_refuse_requests() -> None:
    reported: list[str] = []
    pool = Pool([Replica("replica-1", TAKEN, TAKEN + 1)], Refusing(), Path())  # type: ignore[arg-type]
    with pytest.raises(ProxyError):
        pool.restart(reported.append)
    assert reported[0] == "there is only one replica: requests get 503 until it is ready again"


class Refusing:
    def call(self, *_arguments: object) -> None:
        raise ProxyError("not running")
