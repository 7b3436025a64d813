"""The table of invariants that every rendered overlay must satisfy, from `delivery.policy`."""

from delivery.policy.invariants import Invariant
from llm_api.markdown import table


def invariants_table() -> str:
    return table(("Invariant", "Rule"), [(f"`{invariant.value}`", invariant.rule) for invariant in Invariant])
