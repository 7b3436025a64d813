"""What a run with CLIENTS found. The tables of docs/reference/clients.md are made from it."""

import json
import os
from pathlib import Path
from typing import Any

from clients.registry import CLIENTS, Client

RESULTS = Path(__file__).with_name("results.json")


def known() -> dict[str, Any]:
    """By client."""
    return dict(json.loads(RESULTS.read_text()))


def keep(client: Client, facts: dict[str, Any]) -> None:
    if "CLIENTS" not in os.environ:
        return
    found = known() | {client.id: facts}
    ordered = {client.id: found[client.id] for client in CLIENTS if client.id in found}
    RESULTS.write_text(json.dumps(ordered, indent=2, ensure_ascii=False) + "\n")
