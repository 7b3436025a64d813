"""The tool of `make bench-families` measures every runner."""

from llm_api.engine.models.families.registry import FAMILIES
from tools.bench_families import COMPOSITE, CONCURRENCY, measure


def test_a_family_is_measured_on_every_runner() -> None:
    rows = measure("llama", rounds=1, steps=1)
    assert [(family, int(count)) for family, count, *_ in rows] == [("llama", count) for count in CONCURRENCY]
    assert all(float(value) > 0 for row in rows for value in row[2:])


def test_families_that_are_left_out_exist() -> None:
    assert FAMILIES.keys() > COMPOSITE
