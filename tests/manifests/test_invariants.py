"""Prod keeps every invariant, and each is broken by the fixture that changes one field of it."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.policy.invariants import findings, invariants
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas

FIXTURES = sorted((Path(__file__).parent / "must_fail").glob("*.yaml"))


def test_prod_keeps_every_invariant(prod: Overlay, schemas: Schemas) -> None:
    assert [str(found) for found in findings(prod, schemas)] == []


def test_every_invariant_has_a_fixture(schemas: Schemas) -> None:
    assert {invariant.number for invariant in invariants(schemas)} == {int(path.name[:2]) for path in FIXTURES} == set(range(1, 17))


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_one_changed_field_is_found(fixture: Path, prod: Overlay, schemas: Schemas) -> None:
    change = yaml.safe_load(fixture.read_text(encoding="utf-8"))
    found = findings(_changed(prod, change), schemas)
    told = [str(finding) for finding in found if finding.number == int(fixture.name[:2])]
    assert any(change["says"] in text for text in told), told or [str(finding) for finding in found]


def _changed(overlay: Overlay, change: dict[str, Any]) -> Overlay:
    objects = deepcopy(overlay.rendered.objects)
    kind, _, name = change["object"].partition("/")
    target: Any = next(found for found in objects if found["kind"] == kind and found["metadata"]["name"] == name)
    *way, last = change["path"]
    for step in way:
        target = next(entry for entry in target if step.items() <= entry.items()) if isinstance(step, dict) else target[step]
    if change["value"] is None:
        del target[last]
    else:
        target[last] = change["value"]
    return replace(overlay, rendered=replace(overlay.rendered, objects=objects))
