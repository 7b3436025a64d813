"""EleutherAI's evaluation harness, with a task and a tokenizer on this machine: scores equal those of transformers."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from reporting import API_KEY, BASE_URL, MODEL, client, shows

FOLDER = Path(__file__).parent
os.environ |= {
    "OPENAI_API_KEY": API_KEY,
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_CACHE": tempfile.mkdtemp(),
    "TOKENIZERS_PARALLELISM": "false",
}

import lm_eval  # noqa: E402 (reads the environment)
from lm_eval.tasks import TaskManager  # noqa: E402

client("lm_eval")
ARGUMENTS = {
    "model": MODEL,
    "base_url": f"{BASE_URL}/completions",
    "tokenizer": os.environ["MODEL_FOLDER"],
    "tokenizer_backend": "huggingface",
    "num_concurrent": 4,
    "max_retries": 1,
}


def evaluated(task: str) -> Any:
    manager = TaskManager(include_path=str(FOLDER / "tasks"), include_defaults=False)
    return lm_eval.simple_evaluate("local-completions", model_args=ARGUMENTS, tasks=[task], task_manager=manager, log_samples=True)


@shows("log-likelihoods equal those of transformers to 1e-3")
def _() -> None:
    samples = evaluated("capitals")["samples"]["capitals"]
    pairs = [argument for sample in samples for argument in sample["arguments"]]
    found = [response[0][0] for sample in samples for response in sample["resps"]]
    reference = [os.environ["REFERENCE_PYTHON"], str(FOLDER / "reference.py"), os.environ["MODEL_FOLDER"]]
    output = subprocess.run(reference, input=json.dumps(pairs), capture_output=True, text=True, check=True).stdout
    expected = json.loads(output)
    assert len(found) == len(expected) == 8
    assert max(abs(float(one) - other) for one, other in zip(found, expected, strict=True)) < 1e-3, (found, expected)


@shows("generation")
def _() -> None:
    [sample, *_] = evaluated("continuations")["samples"]["continuations"]
    assert sample["resps"][0][0]
