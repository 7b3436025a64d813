"""replaced-placeholders: a component's placeholder never reaches a cluster.

A value that the environment sets is written in components/ and clusters/ as `set-by-environment` or `set-by-source`, or, in a
ScaledObject, as -1 where the field must be an integer. Kubernetes rejects both in the fields where they stand.
"""

import re
from collections.abc import Iterator

from delivery.policy.finding import Problem
from delivery.policy.objects import leaves
from delivery.rendering import Rendered

TEXT = re.compile(r"\bset-by-(?:environment|source)\b")
NUMBER = -1
WITH_NUMBERS = "ScaledObject"  # elsewhere -1 may be a real value, such as a priority
LAST = re.compile(r"[\w/-]+")


def placeholders(rendered: Rendered) -> Iterator[Problem]:
    for found in rendered.objects:
        kind, name = found["kind"], found["metadata"]["name"]
        for path, value in leaves(found):
            if is_placeholder(value, kind):
                file = rendered.file(kind, name, LAST.findall(path.removesuffix(".value").removesuffix("]"))[-1])
                because = "this placeholder has to be replaced: it is no value"
                fix = "a replacement in the component's kustomization.yaml, with its key in environment.yaml (clusters: source.yaml)"
                yield Problem(file, f"{kind}/{name} {path}", value, because, fix)


def is_placeholder(value: object, kind: str) -> bool:
    if isinstance(value, str):
        return bool(TEXT.search(value))
    return kind == WITH_NUMBERS and value == NUMBER
