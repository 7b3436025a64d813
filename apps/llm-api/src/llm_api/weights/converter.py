"""Runs the conversion process and tells how it goes. This side needs no torch."""

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
        """Writes a servable folder. Raises WeightsError."""
        self._run(f"converting {file.name}", "gguf", str(file), str(folder))

    def tokenizer(self, folder: Path) -> None:
        """Adds tokenizer.json to the folder. Raises WeightsError."""
        self._run(f"converting the tokenizer of {folder.name}", "tokenizer", str(folder))

    def check(self, folder: Path) -> None:
        """Raises WeightsError unless transformers itself knows the folder's architecture."""
        self._run("checking the architecture", "check", str(folder))

    def _run(self, description: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "llm_api.weights.convert", *arguments]
        error = None
        with (
            self._progress.work(description) as tell,
            tempfile.TemporaryFile() as log,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log) as process,  # noqa: S603 (no shell)
        ):
            for line in process.stdout or ():
                said = json.loads(line)
                error = said.get("error", error)
                if "stage" in said:
                    tell(said["stage"])
            if code := process.wait():
                raise WeightsError(error or _died(description, code, log), max(code, 0))


def _died(description: str, code: int, log: IO[bytes]) -> str:
    if code == -signal.SIGKILL:
        return f"{description} was killed, most likely for want of memory. Give it more, or convert on a larger machine."
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    ending = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"{description} failed ({ending}): {lines[-1] if lines else 'no reason given'}"
