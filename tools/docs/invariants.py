"""The table of invariants that every rendered overlay must satisfy, from `delivery.policy`."""

from dataclasses import fields
from pathlib import Path

from delivery.policy.invariants import invariants
from delivery.policy.schemas import Schemas
from llm_api.markdown import table


def invariants_table() -> str:
    """An invariant's first two fields are what it is cited by and its rule."""
    listed = invariants(Schemas(Path(), Path()))
    return table(("Invariant", "Rule"), [[str(getattr(one, field.name)) for field in fields(one)[:2]] for one in listed])
