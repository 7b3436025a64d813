from collections.abc import Iterator

import httpx2
import pytest
from api.running_server import RunningServer, running_server


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RunningServer]:
    """For tests that need no special settings and do not change the server's state."""
    with running_server() as server:
        yield server


@pytest.fixture
def http(shared_server: RunningServer) -> Iterator[httpx2.Client]:
    with shared_server.client() as client:
        yield client
