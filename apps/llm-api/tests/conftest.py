import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_path() -> Path:
    """A folder with the default model: LLM_API_TEST_MODEL, which `make test` sets."""
    return Path(os.environ["LLM_API_TEST_MODEL"])
