"""Prod keeps every invariant, and each is broken by the fixtures that change one field of it."""

from typing import Any

import pytest
from manifests.changes import FOLDER, cases, changed
from manifests.own_overlay import WayIn

from delivery.policy.invariants import findings, invariants
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas


def test_prod_keeps_every_invariant(prod: Overlay, schemas: Schemas) -> None:
    assert [str(found) for found in findings(prod, schemas)] == []


@pytest.mark.parametrize("way_in", ["ingress", "gateway"])
def test_a_promoted_overlay_keeps_every_invariant(way_in: WayIn, promoted: dict[WayIn, Overlay], schemas: Schemas) -> None:
    assert [str(found) for found in findings(promoted[way_in], schemas)] == []


def test_every_invariant_has_a_fixture(schemas: Schemas) -> None:
    numbers = {int(path.name[:2]) for path in FOLDER.glob("*.yaml")}
    assert {invariant.number for invariant in invariants(schemas)} == numbers == set(range(1, 17))


@pytest.mark.parametrize(("number", "change"), list(cases()))
def test_one_changed_field_is_found(number: int, change: dict[str, Any], promoted: dict[WayIn, Overlay], schemas: Schemas) -> None:
    overlay = changed(promoted[change.get("overlay", "ingress")], change)
    [invariant] = [invariant for invariant in invariants(schemas) if invariant.number == number]
    told = list(invariant.check(overlay))
    assert any(change["says"] in f"{problem.field} {problem.value} {problem.because} {problem.fix}" for problem in told), told
    assert all(problem.file and problem.field and problem.because and problem.fix for problem in told)
