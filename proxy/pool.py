"""The replicas as they are: who is ready, and a restart of one after another."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from proxy.failure import ProxyError
from proxy.nginx import ABSENT_REPLICA_SECONDS
from proxy.supervision import Supervisor

READY_SECONDS = 900  # a large model's load and warm-up
LAST_LINES = 15
STARTS_AT_MOST = 2  # while `make up` waits
NO_PROCESS = 0
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Replica:
    name: str  # of its program
    port: int
    management_port: int

    def condition(self) -> str:
        """`ready`, or what it is doing."""
        try:
            response = httpx2.get(f"http://127.0.0.1:{self.management_port}/readyz", timeout=5)
        except httpx2.HTTPError:
            return "starting"
        return "ready" if response.status_code == 200 else str(response.json()["detail"])


@dataclass(frozen=True, slots=True)
class Condition:
    name: str
    pid: int
    told: str


class Pool:
    def __init__(self, replicas: list[Replica], supervisor: Supervisor, logs: Path) -> None:
        self.replicas = replicas
        self._supervisor = supervisor
        self._logs = logs

    def conditions(self) -> Iterator[Condition]:
        """Of every program, nginx and the liveness check included."""
        replicas = {replica.name: replica for replica in self.replicas}
        for program in self._supervisor.programs():
            name, state = program["name"], str(program["statename"]).lower()
            told = replicas[name].condition() if name in replicas and state == "running" else state
            yield Condition(name, program["pid"], told)

    def wait_ready(self, tell: Tell, replicas: list[Replica] | None = None) -> None:
        """Tells what changes meanwhile. Raises ProxyError, with the end of its log, when one does not get ready."""
        waited_for = {replica.name for replica in replicas or self.replicas} | {"nginx"}
        known: dict[str, str] = {}
        processes: defaultdict[str, set[int]] = defaultdict(set)
        deadline = time.monotonic() + READY_SECONDS
        while True:
            now = [condition for condition in self.conditions() if condition.name in waited_for]
            for condition in now:
                if known.get(condition.name) != condition.told:
                    tell(f"{condition.name}: {condition.told}")
                known[condition.name] = condition.told
                processes[condition.name] |= {condition.pid} - {NO_PROCESS}
            if all(condition.told in {"ready", "running"} for condition in now):
                return
            failed = next((name for name in known if known[name] == "backoff" or len(processes[name]) > STARTS_AT_MOST), None)
            if failed or time.monotonic() > deadline:
                raise ProxyError(self._why(failed or "not every replica"))
            time.sleep(0.5)

    def restart(self, tell: Tell) -> None:
        """One after another, each drained first; the next one once nginx sends requests to this one again."""
        if len(self.replicas) == 1:
            tell("one replica: requests get 503 until it is ready again")
        for replica in self.replicas:
            tell(f"{replica.name}: draining")
            self._supervisor.call("stopProcess", replica.name)
            self._supervisor.call("startProcess", replica.name, False)
            self.wait_ready(tell, [replica])
            time.sleep(ABSENT_REPLICA_SECONDS + 0.5)

    def _why(self, name: str) -> str:
        log = self._logs / f"{name}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:] if log.exists() else []
        where = f"the end of {log}" if lines else f"see {self._logs}"
        return "\n".join([f"{name} does not get ready, and what started is still up: `make down` stops it; {where}:", *lines])
