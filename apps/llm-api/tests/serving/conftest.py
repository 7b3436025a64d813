from collections.abc import Iterator
from pathlib import Path

import pytest
from serving.service_process import ServiceProcess, service_process


@pytest.fixture(scope="session")
def server(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One server for all tests that do not change its state."""
    with service_process(model_path, tmp_path_factory.mktemp("server") / "log") as process:
        yield process
