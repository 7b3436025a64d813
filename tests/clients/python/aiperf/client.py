"""aiperf: a benchmark of chat completions, streamed and whole."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from reporting import API_KEY, MODEL, ROOT_URL, client, shows

REQUESTS, TOKENS = 4, 8
PROGRAM = str(Path(sys.executable).with_name("aiperf"))

client("aiperf")


def profiled(*options: str) -> dict[str, dict[str, float]]:
    """The metrics of a run, each with its average."""
    with tempfile.TemporaryDirectory() as folder:
        server = ["--model", MODEL, "--url", ROOT_URL, "--endpoint-type", "chat", "--api-key", API_KEY]
        load = [
            "--request-count",
            str(REQUESTS),
            "--concurrency",
            "2",
            "--isl",
            "16",
            "--osl",
            str(TOKENS),
            "--extra-inputs",
            "ignore_eos:true",
        ]
        output = ["--tokenizer", os.environ["MODEL_FOLDER"], "--ui", "none", "--output-artifact-dir", folder]
        command = [PROGRAM, "profile", *server, *load, *output, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (export,) = Path(folder).rglob("profile_export_aiperf.json")
        return json.loads(export.read_text())


@shows("stream")
def _() -> None:
    metrics = profiled("--streaming")
    assert metrics["request_count"]["avg"] == REQUESTS, metrics
    assert metrics["time_to_first_token"]["avg"] > 0
    assert 0 < metrics["output_sequence_length"]["avg"] <= TOKENS


@shows("chat")
def _() -> None:
    metrics = profiled()
    assert metrics["request_count"]["avg"] == REQUESTS, metrics
