from pathlib import Path

import pytest

from llm_api.settings import DEFAULT_MODEL_URI, Settings
from llm_api.weights.progress import LineProgress
from llm_api.weights.resolve import resolve


@pytest.fixture(scope="session")
def default_model() -> Path:
    """The default model's folder, downloaded and converted once per machine."""
    return resolve(None, DEFAULT_MODEL_URI, Settings().model_cache, LineProgress(lambda line: print(line, flush=True))).path
