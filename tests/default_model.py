"""The default model, for suites of the whole service."""

from pathlib import Path

from llm_api.settings import DEFAULT_MODEL_URI, Settings
from llm_api.weights.progress import LineProgress
from llm_api.weights.resolve import resolve


def default_model_folder() -> Path:
    """Downloaded and converted once per machine."""
    return resolve(None, DEFAULT_MODEL_URI, Settings().model_cache, LineProgress(lambda line: print(line, flush=True))).path
