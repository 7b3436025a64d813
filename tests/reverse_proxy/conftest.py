import shutil
from collections.abc import Iterator

import pytest
from reverse_proxy.machine import NO_RETRIES, RETRIES, Machine

from llm_api.api.keys import new_key
from proxy.nginx import has_nginx

FIRST_PORT = 23100
PACKAGES = {"nginx": "nginx", "openssl": "openssl", "curl": "curl", "gettext-base": "envsubst"}


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    missing = [package for package, tool in PACKAGES.items() if not (has_nginx() if tool == "nginx" else shutil.which(tool))]
    if missing:
        pytest.fail(f"`make e2e-proxy` needs packages that are not installed: `apt-get install {' '.join(missing)}` (docs/proxy.md)")


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """nginx and three replicas, with one API key. Every test leaves all replicas ready."""
    key, entry = new_key("tester")
    machine = Machine(FIRST_PORT, key=key, API_KEYS=entry, ENGINE_STALL_TIMEOUT="20")
    try:
        machine.run("up")
        yield machine
    finally:
        machine.remove()


@pytest.fixture
def without_retries(machine: Machine) -> Iterator[None]:
    """The negative control: nginx without the retry."""
    with machine.edited((RETRIES, NO_RETRIES)):
        yield
