"""Starts the conversion process and reports its progress. Runs in the caller's process, without torch."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from llm_api.weights.errors import WeightsError
from llm_api.weights.progress import Progress


class Converter:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def gguf(self, file: Path, folder: Path) -> None:
        """Converts a GGUF to a servable folder. Raises WeightsError."""
        self._run(f"converting {file.name}", "gguf", str(file), str(folder))

    def tokenizer(self, folder: Path) -> None:
        """Adds tokenizer.json to the folder. Raises WeightsError."""
        self._run(f"converting the tokenizer of {folder.name}", "tokenizer", str(folder))

    def check(self, folder: Path) -> None:
        """Raises WeightsError unless transformers itself supports the folder's architecture."""
        self._run("checking the architecture", "check", str(folder))

    def _run(self, description: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "llm_api.weights.conversion_worker", *arguments]
        error = None
        with (
            self._progress.work(description) as report,
            tempfile.TemporaryFile() as log,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,  # noqa: S603 (no shell)
        ):
            for line in process.stdout or ():
                message = json.loads(line)
                error = message.get("error", error)
                if "stage" in message:
                    report(message["stage"], message.get("done", 0), message.get("total"))
            if code := process.wait():
                raise WeightsError(error or _died(description, code, log), max(code, 0))


def _died(description: str, code: int, log: IO[bytes]) -> str:
    if code == -signal.SIGKILL:
        return f"{description} was killed, most likely because memory ran out. Give it more memory, or convert on a larger machine."
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    ending = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{description} failed ({ending}): {lines[-1] if lines else 'no reason given'}"
