"""Prod keeps every invariant, and the check of each finds the fixtures that change one field."""

from typing import Any

import pytest
from manifests.changes import FOLDER, cases, changed
from manifests.own_overlay import WayIn

from delivery.policy.checks_by_invariant import findings, problems
from delivery.policy.invariants import Invariant
from delivery.policy.overlay import Overlay
from delivery.policy.schemas import Schemas


def test_prod_keeps_every_invariant(prod: Overlay, schemas: Schemas) -> None:
    assert [str(found) for found in findings(prod, schemas)] == []


@pytest.mark.parametrize("way_in", ["ingress", "gateway"])
def test_a_promoted_overlay_keeps_every_invariant(way_in: WayIn, promoted: dict[WayIn, Overlay], schemas: Schemas) -> None:
    assert [str(found) for found in findings(promoted[way_in], schemas)] == []


def test_every_invariant_has_a_fixture() -> None:
    assert {invariant.value for invariant in Invariant} == {path.name for path in FOLDER.iterdir()}
    assert all(any(folder.glob("*.yaml")) for folder in FOLDER.iterdir())


@pytest.mark.parametrize(("invariant", "change"), list(cases()))
def test_the_check_finds_one_changed_field(
    invariant: Invariant, change: dict[str, Any], promoted: dict[WayIn, Overlay], schemas: Schemas
) -> None:
    overlay = changed(promoted[change.get("overlay", "ingress")], change)
    found = list(problems(invariant, overlay, schemas))
    assert any(change["finding"] in f"{problem.field} {problem.value} {problem.because} {problem.fix}" for problem in found), found
    assert all(problem.file and problem.field and problem.because and problem.fix for problem in found)
