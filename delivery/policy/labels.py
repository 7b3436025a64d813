"""Which pods a selector means."""

from collections.abc import Callable, Mapping
from typing import Any

Labels = Mapping[str, str]
Expression = Mapping[str, Any]
OPERATORS: dict[str, Callable[[Expression, Labels], bool]] = {
    "In": lambda wanted, labels: labels.get(wanted["key"]) in wanted["values"],
    "NotIn": lambda wanted, labels: labels.get(wanted["key"]) not in wanted["values"],
    "Exists": lambda wanted, labels: wanted["key"] in labels,
    "DoesNotExist": lambda wanted, labels: wanted["key"] not in labels,
}


def selects(selector: Mapping[str, Any], labels: Labels) -> bool:
    """As Kubernetes does: an empty selector means every pod."""
    plain = selector.get("matchLabels") or {}
    expressions = selector.get("matchExpressions") or []
    return plain.items() <= labels.items() and all(OPERATORS[wanted["operator"]](wanted, labels) for wanted in expressions)
