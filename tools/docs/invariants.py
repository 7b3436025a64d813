"""The table of invariants that every rendered overlay must satisfy, from `delivery.policy`."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from delivery.policy.schemas import Schemas
from llm_api.markdown import table


def invariants_table() -> str:
    return table(("Invariant", "Rule"), list(_named_rules()))


def _named_rules() -> Iterator[tuple[str, str]]:
    module: Any = import_module("delivery.policy.invariants")
    if hasattr(module.Invariant, "__members__"):
        yield from ((f"`{invariant.value}`", invariant.rule) for invariant in module.Invariant)
    else:
        yield from ((str(invariant.number), invariant.rule) for invariant in module.invariants(Schemas(Path(), Path())))
