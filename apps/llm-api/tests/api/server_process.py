"""The scripted server as a process: for signals, exit codes and logs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import llm_api

TESTS = Path(__file__).parents[1]
SOURCES = Path(llm_api.__file__).parents[1]


def start_process(environment: dict[str, str], stderr: int = subprocess.PIPE) -> "subprocess.Popen[str]":
    variables = {"PORT": "0", "LOG_FORMAT": "json", "PYTHONPATH": f"{SOURCES}:{TESTS}", "PATH": os.environ["PATH"], **environment}
    command = [sys.executable, "-m", "api.scripted_server"]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=stderr, text=True)


@contextmanager
def server_process(**environment: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """The process and its URL. Its logs are a pipe that nobody reads before its end: keep them few."""
    process = start_process(environment)
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.communicate(timeout=5)
        yield process, url
    finally:
        process.kill()
        process.communicate()
