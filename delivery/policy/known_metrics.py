"""known-metrics: alerts and autoscaling query metrics that exist, of the pods of this overlay."""

import re
from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

KEYWORDS = {"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "inf", "nan"}
NOT_METRICS = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)')
NAME = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*+(?!\s*\()")  # not a function
MATCHER = re.compile(r'(\w+)\s*(=~|=)\s*"([^"]*)"')
EMPTY = "the query never returns anything"


def emitted(overlay: Overlay) -> Iterator[Problem]:
    for found, path, query in _queries(overlay):
        for name in sorted(metric_names(query) - overlay.facts.metrics):
            because = f"the service emits no such metric: {EMPTY}"
            yield overlay.problem(found, path, name, because, "a name from /metrics (telemetry/metrics.py)")
        yield from _matchers(overlay, found, path, query)
    for scaler in overlay.of("ScaledObject"):
        kinds = [trigger["type"] for trigger in scaler["spec"]["triggers"]]
        if "prometheus" not in kinds:
            because = "CPU load does not show how busy an engine is: scale on its queue"
            yield overlay.problem(scaler, "spec.triggers", kinds, because, "a prometheus trigger, as in components/autoscaling")


def _matchers(overlay: Overlay, found: Object, path: str, query: str) -> Iterator[Problem]:
    allowed = {"namespace": frozenset({overlay.namespace}), **overlay.facts.label_values}
    for label, operator, value in MATCHER.findall(query):
        values = allowed.get(label)
        if values is None:
            continue
        matched = value in values if operator == "=" else any(re.fullmatch(value, known) for known in values)
        if not matched:
            because = f"the service never sets {label} to this value: {EMPTY}"
            yield overlay.problem(found, path, f'{label}{operator}"{value}"', because, f"one of {', '.join(sorted(values))}")


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
