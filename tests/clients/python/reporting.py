"""How a client's script says what works: one JSON line for each capability. Scripts run in the client's own environment."""

import json
import os
import traceback
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

BASE_URL, ROOT_URL = os.environ["BASE_URL"], os.environ["BASE_URL"].removesuffix("/v1")
API_KEY, MODEL, EMBEDDING_MODEL = os.environ["API_KEY"], os.environ["MODEL"], os.environ["EMBEDDING_MODEL"]
DETAIL = 400  # characters


def client(package: str) -> None:
    print(json.dumps({"client": package, "version": version(package)}), flush=True)


def shows(capability: str) -> Callable[[Callable[[], Any]], None]:
    """Runs the function. The capability has passed if it returns."""

    def run(check: Callable[[], Any]) -> None:
        try:
            check()
        except Exception as error:
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}"[:DETAIL]
            print(json.dumps({"capability": capability, "outcome": "failed", "reason": reason}), flush=True)
        else:
            print(json.dumps({"capability": capability, "outcome": "passed"}), flush=True)

    return run


def skipped(capability: str, reason: str) -> None:
    print(json.dumps({"capability": capability, "outcome": "skipped", "reason": reason}), flush=True)
