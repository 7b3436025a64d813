import os
import sys
from pathlib import Path

import pytest

from llm_api.settings import DEFAULT_MODEL_URI, Settings
from llm_api.weights.progress import LineProgress
from llm_api.weights.resolve import resolve

os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # before torch is loaded; why: engine/launcher.py


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The default model's folder, from MODEL_CACHE: downloaded and converted once per machine. LLM_API_TEST_MODEL names another."""
    if other := os.environ.get("LLM_API_TEST_MODEL"):
        return Path(other)
    progress = LineProgress(lambda line: print(line, file=sys.stderr, flush=True))
    return resolve(None, DEFAULT_MODEL_URI, Settings().model_cache, progress).path
