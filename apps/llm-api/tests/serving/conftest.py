from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from serving.service_process import ServiceProcess

StartServer = Callable[..., ServiceProcess]


@pytest.fixture(scope="session")
def server(model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One server for the tests that leave it as they find it."""
    process = ServiceProcess(model_path, tmp_path_factory.mktemp("server") / "log")
    try:
        process.wait_ready()
        yield process
    finally:
        process.stop()


@pytest.fixture
def start_server(model_path: Path, tmp_path: Path) -> Iterator[StartServer]:
    """Starts a server with settings of its own; waits until it is ready."""
    started: list[ServiceProcess] = []

    def start(**environment: str) -> ServiceProcess:
        started.append(ServiceProcess(model_path, tmp_path / f"log-{len(started)}", **environment))
        started[-1].wait_ready()
        return started[-1]

    yield start
    for process in started:
        process.stop()
