"""Real clients, unchanged, each in its own environment, against one server: the fast ones, all, or those that CLIENTS names."""

import os

import pytest
from clients.registry import CLIENTS, Client
from clients.results import keep, known
from clients.runs import run

NAMED = os.environ.get("CLIENTS", "fast").split(",")
CHOSEN = [client for client in CLIENTS if NAMED == ["all"] or client.id in NAMED or (NAMED == ["fast"] and client.fast)]


@pytest.mark.parametrize("client", CHOSEN, ids=[client.id for client in CHOSEN])
def test_everything_that_the_client_can_do_works(client: Client, environment: dict[str, str]) -> None:
    found = run(client, environment)
    facts = {"title": client.title, "fast": client.fast, "version": found.version}
    keep(client, {**facts, "outcomes": found.outcomes, "reasons": found.reasons})
    assert not found.failures, (found.failures, found.errors)


def test_the_table_has_every_client() -> None:
    """make clients-all writes it."""
    assert list(known()) == [client.id for client in CLIENTS]
