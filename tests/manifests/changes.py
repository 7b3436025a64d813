"""Changes of a rendered overlay that break an invariant: tests/manifests/must_fail/<invariant>/*.yaml.

A file has one or more changes (separated by `---`), and the check of its invariant must find each:

- object: Kind/name. path: keys, list indexes, or `{name: x}` for an entry of a list; `-` at the end appends.
- value: the new value; null removes the field, or with an empty path the whole object.
- add: a new object instead.
- overlay: `gateway` for the overlay with components/gateway; by default components/ingress.
- finding: a part of the finding.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.policy.invariants import Invariant
from delivery.policy.overlay import Overlay
from delivery.rendering import Object

FOLDER = Path(__file__).parent / "must_fail"


def cases() -> Iterator[Any]:
    by_name = {invariant.value: invariant for invariant in Invariant}
    for file in sorted(FOLDER.glob("*/*.yaml")):
        for number, change in enumerate(yaml.safe_load_all(file.read_text(encoding="utf-8"))):
            yield pytest.param(by_name[file.parent.name], change, id=f"{file.parent.name}-{file.stem}-{number}")


def changed(overlay: Overlay, change: dict[str, Any]) -> Overlay:
    objects = deepcopy(overlay.rendered.objects)
    if "add" in change:
        objects.append(change["add"])
    else:
        kind, _, name = change["object"].partition("/")
        found = next(found for found in objects if found["kind"] == kind and found["metadata"]["name"] == name)
        if change["path"]:
            _set(found, change["path"], change["value"])
        else:
            objects.remove(found)
    return replace(overlay, rendered=replace(overlay.rendered, objects=objects))


def _set(found: Object, path: list[Any], value: Any) -> None:
    target: Any = found
    *steps, last = path
    for step in steps:
        target = target[_key(target, step)]
    if last == "-":
        target.append(value)
    elif value is None:
        del target[_key(target, last)]
    else:
        target[_key(target, last)] = value


def _key(target: Any, step: Any) -> Any:
    return next(number for number, entry in enumerate(target) if step.items() <= entry.items()) if isinstance(step, dict) else step
