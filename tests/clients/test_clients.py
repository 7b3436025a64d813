"""Real clients, unchanged, each in its own environment, against one server. CLIENTS=all (make clients-all) adds the slow ones."""

import json
import os
from typing import Any

import pytest
from clients.conftest import RESULTS
from clients.registry import CLIENTS, Client
from clients.runs import run

CHOSEN = [client for client in CLIENTS if client.fast or os.environ.get("CLIENTS") in ("all", client.id)]


@pytest.mark.parametrize("client", CHOSEN, ids=[client.id for client in CHOSEN])
def test_everything_that_the_client_can_do_works(client: Client, environment: dict[str, str], results: dict[str, Any]) -> None:
    found = run(client, environment)
    facts = {"title": client.title, "fast": client.fast, "version": found.version}
    results[client.id] = {**facts, "outcomes": found.outcomes, "reasons": found.reasons}
    assert not found.failures, (found.failures, found.errors)


def test_the_table_has_every_client() -> None:
    """make clients-all writes it."""
    assert list(json.loads(RESULTS.read_text())) == [client.id for client in CLIENTS]
