"""The real server around a scripted service, as a process: for signals, exit codes and logs.

`python -m api.scripted_process` reads its settings from the environment, and prints its URL.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from api.scripted_service import Script, ScriptedService

import llm_api
from llm_api.app import run_api
from llm_api.settings import Settings
from llm_api.telemetry.logs import configure_logs
from llm_api.telemetry.metrics import Metrics

TESTS = Path(__file__).parents[1]
SOURCES = Path(llm_api.__file__).parents[1]
SLOW = Script(words=tuple(f" {i}" for i in range(60)), pause=0.05)
FLOOD = Script(words=("x" * 1_000_000,) * 50)


def start_process(environment: dict[str, str], stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    variables = {"PORT": "0", "LOG_FORMAT": "json", "PYTHONPATH": f"{SOURCES}:{TESTS}", "PATH": os.environ["PATH"], **environment}
    command = [sys.executable, "-m", "api.scripted_process"]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=stderr, text=True)


@contextmanager
def scripted_process(**environment: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Yields the process and its URL. Its log is a pipe that is not read while it runs, so it must stay short."""
    process = start_process(environment)
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.communicate(timeout=5)
        yield process, url
    finally:
        process.kill()
        process.communicate()


def main() -> int:
    settings = Settings()
    configure_logs(settings.log_level, settings.log_format)
    service = ScriptedService(max_num_seqs=32)
    service.scripts |= {"slow": SLOW, "forever": Script(hold_after=1), "crash": Script(fail_after=0), "flood": FLOOD}
    return run_api(settings, service, Metrics(), lambda addresses: print(addresses.url, flush=True))


if __name__ == "__main__":
    sys.exit(main())
