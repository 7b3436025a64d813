from pathlib import Path

import pytest
from default_model import default_model_folder


@pytest.fixture(scope="session")
def default_model() -> Path:
    return default_model_folder()
