"""Restarts a replica whose /livez is red: an event listener of supervisor, which restarts by itself only what has ended.

`python -m proxy.liveness replica-1=8101 ...`: names of programs, and the ports of their probes on loopback.
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

UNANSWERED_AT_MOST = 3  # checks in a row, of a replica that should listen by now; one that says 503 itself is believed at once
PROBE_SECONDS = 2.0
START_SECONDS = 900  # in which nothing may listen yet: the model is got first
EXIT_SECONDS = 10.0  # as a liveness probe's own grace on Kubernetes: who hangs does not sit out its drain


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
            elif reason := self._trouble(name, port, information["now"] - information["start"]):
                print(f"{name} is restarted: {reason}", file=sys.stderr, flush=True)
                self._end(name, information["pid"])

    def _trouble(self, name: str, port: int, uptime: int) -> str | None:
        try:
            status = httpx2.get(f"http://127.0.0.1:{port}/livez", timeout=PROBE_SECONDS).status_code
        except httpx2.HTTPError as error:
            self._unanswered[name] += uptime > START_SECONDS
            unanswered = self._unanswered[name]
            return f"/livez is not answered: {type(error).__name__}" if unanswered >= UNANSWERED_AT_MOST else None
        self._unanswered.pop(name, None)
        return None if status == 200 else f"/livez says {status}"

    def _end(self, name: str, pid: int) -> None:
        """The second SIGTERM ends it now, with a 503 to every request that has no answer yet: nginx takes those to another one."""
        self._unanswered.pop(name, None)
        with suppress(Fault):  # it ended meanwhile
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
