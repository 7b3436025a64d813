"""`llm-api serve` as users run it: a process with the real model and the real engine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
from openai import AsyncOpenAI, OpenAI

START_SECONDS = 90


class ServiceProcess:
    def __init__(self, model_path: Path, log: Path, **environment: str) -> None:
        """`environment`: settings by variable name. They override the defaults for tests."""
        self._log = log
        settings = {
            "PORT": "0",
            "MODEL_PATH": str(model_path),
            "MODEL_NAME": "smol",
            "KV_CACHE_MEMORY": "256MiB",
            "LAME_DUCK_SECONDS": "0",
            "LOG_FORMAT": "json",
            **environment,
        }
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "llm_api", "serve"],
                env={**os.environ, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.url = self._wait_for_event("listening")["url"]

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.get("/readyz").status_code != 200:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    @property
    def engine(self) -> psutil.Process:
        """The other child, if any, checks grammars."""
        (child,) = [child for child in psutil.Process(self.process.pid).children() if "llm_api.engine" in child.cmdline()]
        return child

    def log(self) -> str:
        return self._log.read_text()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(self.url + path, timeout=10)

    def post(self, path: str, **options: Any) -> httpx2.Response:
        return httpx2.post(self.url + path, timeout=60, **options)

    def client(self) -> OpenAI:
        return OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=120)

    def async_client(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=120)

    def metric(self, name: str) -> float:
        """Returns the sum of a metric over all its labels."""
        lines = self.get("/metrics").text.splitlines()
        samples = [line for line in lines if line.split("{")[0].split(" ")[0] == name]
        assert samples, f"no metric {name}"
        return sum(float(sample.rsplit(" ", 1)[1]) for sample in samples)

    def wait_idle(self, seconds: float = 10) -> None:
        """Waits until the engine reports, after a step, that it has no requests."""
        deadline = time.monotonic() + seconds
        while self.metric("llm_num_requests_running") or self.metric("llm_num_requests_waiting"):
            assert time.monotonic() < deadline, "the engine still runs requests that have no client"
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def _wait_for_event(self, name: str) -> dict[str, Any]:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for event in self.events():
                if event["event"] == name:
                    return event
            assert self.process.poll() is None, self.log()
            time.sleep(0.05)
        raise AssertionError(f"no {name!r} in {self.log()}")


@contextmanager
def service_process(model_path: Path, log: Path, **environment: str) -> Iterator[ServiceProcess]:
    """Yields a service that is ready."""
    process = ServiceProcess(model_path, log, **environment)
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()
