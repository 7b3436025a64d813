"""The engines to test: ENGINES lists names, or NAME=URL of running ones. Those without URL are started by PEERS/NAME, if that exists."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PEERS = Path(os.environ.get("PEERS", ROOT.parent / "shared/peers"))
OPTIONS = {"vllm": ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")}
START_SECONDS = 1200  # an engine may have to be installed, or built


@dataclass(frozen=True, slots=True)
class Engine:
    """`url` None: start it. `own` is our engine, without anything in between."""

    name: str
    url: str | None

    @contextmanager
    def running(self, model: Path) -> Iterator[str | None]:
        """Gives its address; None for our engine."""
        if self.name == "own" or self.url:
            yield self.url
            return
        program = str(PEERS / self.name)
        environment = os.environ | {"MODEL_DIR": str(model)}
        command = [program, "start", *OPTIONS.get(self.name, ())]
        started = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=START_SECONDS)
        try:
            yield started.stdout.split()[-1]
        finally:
            subprocess.run([program, "stop"], check=True)


def chosen() -> list[Engine]:
    named = os.environ.get("ENGINES", "own").split(",")
    return [Engine(name, url or None) for name, _, url in (entry.partition("=") for entry in named)]
