"""Real clients, unchanged, each in its own environment, against one server. CLIENTS=all (make clients-all) adds the slow ones."""

import os
from typing import Any

import pytest
from clients.registry import CLIENTS, Client
from clients.runs import run

CHOSEN = [client for client in CLIENTS if client.fast or os.environ.get("CLIENTS") in ("all", client.id)]


@pytest.mark.parametrize("client", CHOSEN, ids=[client.id for client in CHOSEN])
def test_everything_that_the_client_can_do_works(client: Client, environment: dict[str, str], results: dict[str, Any]) -> None:
    found = run(client, environment)
    results[client.id] = {"version": found.version, "outcomes": found.outcomes, "reasons": found.reasons}
    assert not found.failures, (found.failures, found.errors)
