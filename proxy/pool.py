"""The pool of replicas: the state of each one, and a rolling restart."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from proxy import ProxyError
from proxy.nginx import ABSENT_REPLICA_SECONDS
from proxy.supervision import Supervisor

READY_SECONDS = 900  # a large model's load and warm-up
LAST_LINES = 15
MAX_STARTS = 2  # of one program while a command waits for it
NO_PROCESS = 0
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Replica:
    name: str  # of its supervisor program
    port: int
    management_port: int

    def state(self) -> str:
        """`ready`, `starting`, or the detail that /readyz gives."""
        try:
            response = httpx2.get(f"http://127.0.0.1:{self.management_port}/readyz", timeout=5)
        except httpx2.HTTPError:
            return "starting"
        return "ready" if response.status_code == 200 else str(response.json()["detail"])


@dataclass(frozen=True, slots=True)
class Condition:
    name: str
    pid: int
    state: str


class Pool:
    def __init__(self, replicas: list[Replica], supervisor: Supervisor, logs: Path) -> None:
        self.replicas = replicas
        self._supervisor = supervisor
        self._logs = logs

    def conditions(self) -> Iterator[Condition]:
        """The condition of every program, nginx and the liveness check included."""
        replicas = {replica.name: replica for replica in self.replicas}
        for program in self._supervisor.programs():
            name, state = program["name"], str(program["statename"]).lower()
            yield Condition(name, program["pid"], replicas[name].state() if name in replicas and state == "running" else state)

    def wait_ready(self, report: Report, replicas: list[Replica] | None = None) -> None:
        """Waits for these replicas (default: all) and nginx, and reports each change of state.

        Raises ProxyError, with the end of its log, for a program that does not become ready.
        """
        waited_for = {replica.name for replica in replicas or self.replicas} | {"nginx"}
        known: dict[str, str] = {}
        processes: defaultdict[str, set[int]] = defaultdict(set)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            now = [condition for condition in self.conditions() if condition.name in waited_for]
            for condition in now:
                if known.get(condition.name) != condition.state:
                    report(f"{condition.name}: {condition.state}")
                known[condition.name] = condition.state
                processes[condition.name] |= {condition.pid} - {NO_PROCESS}
            if all(condition.state in {"ready", "running"} for condition in now):
                return
            failed = next((name for name in known if known[name] == "backoff" or len(processes[name]) > MAX_STARTS), None)
            if failed or time.monotonic() > deadline:
                raise ProxyError(self._why(failed or "not every replica"))
            time.sleep(0.5)

    def restart(self, report: Report) -> None:
        """Drains and restarts one replica after another; the next one once nginx sends requests to the last one again."""
        if len(self.replicas) == 1:
            report("there is only one replica: requests get 503 until it is ready again")
        for replica in self.replicas:
            report(f"{replica.name}: draining")
            self._supervisor.call("stopProcess", replica.name)
            self._supervisor.call("startProcess", replica.name, False)
            self.wait_ready(report, [replica])
            time.sleep(ABSENT_REPLICA_SECONDS + 0.5)

    def _why(self, name: str) -> str:
        log = self._logs / f"{name}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
        where = f"The end of {log}" if lines else f"See {self._logs}"
        return "\n".join([f"{name} does not become ready. The other programs are still running; `make down` stops them. {where}:", *lines])
