import math

import pytest

from llm_api.bench.accuracy import Reading, report

PLAIN = Reading({}, [-1.0, -3.0], ["a", "b"], [["x", "y", "z"], ["x"]])
ROUNDED = Reading({"QUANTIZATION": "int4"}, [-2.0, -3.0], ["a", "c"], [["x", "z", "y"], ["x"]])


def test_perplexity_is_that_of_the_mean_token() -> None:
    assert PLAIN.perplexity == pytest.approx(math.exp(2))


def test_agreement_counts_positions_and_tokens_up_to_the_first_difference() -> None:
    assert ROUNDED.agreement(PLAIN) == 0.5
    assert ROUNDED.equal_tokens(PLAIN) == 1.0
    assert PLAIN.equal_tokens(PLAIN) == 2.0


def test_the_table_compares_with_the_first_reading() -> None:
    lines = report([PLAIN, ROUNDED]).splitlines()
    assert "| the defaults, bfloat16 | 7.39 (+0.00%) | 100.00% | 2.0 |" in lines
    assert "| `QUANTIZATION=int4` | 12.18 (+64.87%) | 50.00% | 1.0 |" in lines
