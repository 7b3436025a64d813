"""One change of a rendered overlay, as tests/manifests/must_fail writes it down.

A file holds one change or several (`---`), and its number is the invariant that must find each:

- object: Kind/name. path: keys, list indexes, or `{name: x}` for the entry of a list; `-` at the end appends.
- value: what stands there then; null removes it, with an empty path the whole object.
- add: a new object instead.
- overlay: gateway, where the way in matters; else ingress.
- says: a part of what must be told.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.kustomize import Object
from delivery.policy.overlay import Overlay

FOLDER = Path(__file__).parent / "must_fail"


def cases() -> Iterator[Any]:
    for file in sorted(FOLDER.glob("*.yaml")):
        for number, change in enumerate(yaml.safe_load_all(file.read_text(encoding="utf-8"))):
            yield pytest.param(int(file.name[:2]), change, id=f"{file.stem}-{number}")


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
    *way, last = path
    for step in way:
        target = target[_key(target, step)]
    if last == "-":
        target.append(value)
    elif value is None:
        del target[_key(target, last)]
    else:
        target[_key(target, last)] = value


def _key(target: Any, step: Any) -> Any:
    return next(number for number, entry in enumerate(target) if step.items() <= entry.items()) if isinstance(step, dict) else step
