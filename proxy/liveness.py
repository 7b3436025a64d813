"""Liveness check: restarts a replica whose /livez fails. supervisor itself restarts only processes that have ended.

An event listener of supervisor: `python -m proxy.liveness replica-1=8101 ...`, program names and their management ports on loopback.
"""

import os
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import Any
from xmlrpc.client import Fault

import httpx2
from supervisor import childutils

MAX_UNANSWERED = 3  # consecutive checks without an answer, after START_SECONDS; a 503 restarts a replica at once
PROBE_SECONDS = 2.0
START_SECONDS = 900  # a replica downloads and loads its model before it listens
EXIT_SECONDS = 10.0  # like terminationGracePeriodSeconds of a Kubernetes livenessProbe: a hung replica gets no full drain


class Liveness:
    def __init__(self, supervisor: Any, ports: dict[str, int]) -> None:
        """`supervisor`: the `supervisor` part of its XML-RPC interface."""
        self._supervisor = supervisor
        self._ports = ports
        self._unanswered: Counter[str] = Counter()

    def check_all(self) -> None:
        for name, port in self._ports.items():
            information = self._supervisor.getProcessInfo(name)
            if information["statename"] != "RUNNING":
                self._unanswered.pop(name, None)
            elif reason := self._failure(name, port, information["now"] - information["start"]):
                print(f"restarting {name}: {reason}", file=sys.stderr, flush=True)
                self._end(name, information["pid"])

    def _failure(self, name: str, port: int, uptime: int) -> str | None:
        try:
            status = httpx2.get(f"http://127.0.0.1:{port}/livez", timeout=PROBE_SECONDS).status_code
        except httpx2.HTTPError as error:
            self._unanswered[name] += uptime > START_SECONDS
            unanswered = self._unanswered[name]
            return f"/livez does not answer: {type(error).__name__}" if unanswered >= MAX_UNANSWERED else None
        self._unanswered.pop(name, None)
        return None if status == 200 else f"/livez returns {status}"

    def _end(self, name: str, pid: int) -> None:
        """A second SIGTERM ends the service at once, with a 503 for each unanswered request, which nginx retries on another replica."""
        self._unanswered.pop(name, None)
        with suppress(Fault):  # the replica has ended by itself
            for signal in ("TERM", "TERM"):
                self._supervisor.signalProcess(name, signal)
                time.sleep(0.2)
            deadline = time.monotonic() + EXIT_SECONDS
            while self._supervisor.getProcessInfo(name)["pid"] == pid:
                if time.monotonic() > deadline:
                    self._supervisor.signalProcess(name, "KILL")
                    return
                time.sleep(0.2)


def main() -> None:
    ports = {name: int(port) for name, _, port in (argument.partition("=") for argument in sys.argv[1:])}
    liveness = Liveness(childutils.getRPCInterface(os.environ).supervisor, ports)
    while True:
        childutils.listener.wait(sys.stdin, sys.stdout)
        liveness.check_all()
        childutils.listener.ok(sys.stdout)


if __name__ == "__main__":
    main()
