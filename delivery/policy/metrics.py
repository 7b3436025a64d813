"""Invariant 9: alerts and autoscaling ask for metrics that exist."""

import re
from collections.abc import Iterator

from delivery.kustomize import Object
from delivery.policy.finding import Problem
from delivery.policy.overlay import Overlay

KEYWORDS = {"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "inf", "nan"}
NOT_METRICS = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)')
NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*+(?!\s*\()")  # no function


def emitted(overlay: Overlay) -> Iterator[Problem]:
    for found, path, query in _queries(overlay):
        for name in metric_names(query):
            if name not in overlay.facts.metrics:
                because = "the service emits no such metric: the query is empty for ever"
                yield overlay.problem(found, path, name, because, "a name from /metrics (telemetry/metrics.py)")


def metric_names(query: str) -> set[str]:
    plain = NOT_METRICS.sub(" ", query)
    return {name for name in NAME.findall(plain) if name.lower() not in KEYWORDS}


def _queries(overlay: Overlay) -> Iterator[tuple[Object, str, str]]:
    for scaler in overlay.of("ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            if trigger["type"] == "prometheus":
                yield scaler, f"spec.triggers[{trigger.get('name')}].metadata.query", trigger["metadata"]["query"]
    for rule in overlay.of("PrometheusRule"):
        for group in rule["spec"]["groups"]:
            for alert in group["rules"]:
                yield rule, f"spec.groups[{group['name']}].rules[{alert.get('alert') or alert.get('record')}].expr", str(alert["expr"])
