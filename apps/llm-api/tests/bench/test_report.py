import json

import pytest

from llm_api.bench.exchange import Target
from llm_api.bench.load import Load, Run
from llm_api.bench.probe import Server
from llm_api.bench.report import Report
from llm_api.bench.sample import Sample
from llm_api.bench.summary import Spread, compare, percentile, summarise


def run(server: str, round_number: int, tokens: int, failed: int = 0) -> Run:
    good = Sample(sent=0.0, ended=2.0, first_token=0.25, gaps=(0.01, 0.03), prompt_tokens=110, completion_tokens=tokens)
    return Run(server, round_number, 4, [good, *[Sample(sent=0.0, ended=1.0, failure="HTTP 500")] * failed])


RUNS = [run("ours", 1, 100), run("peer", 1, 50), run("ours", 2, 40, failed=2), run("peer", 2, 40), run("ours", 3, 90), run("peer", 3, 30)]


def test_speed_is_the_median_of_the_rounds_with_its_range() -> None:
    ours, peer = summarise(RUNS)
    assert ours.tokens_per_second == Spread(45.0, 20.0, 50.0)
    assert peer.tokens_per_second == Spread(20.0, 15.0, 25.0)
    assert (ours.answered, ours.failed, peer.failed) == (3, 2, 0)
    assert ours.first_token_p50 == pytest.approx(250)
    assert ours.inter_token_p50 == pytest.approx(20)


def test_ratios_compare_within_a_round() -> None:
    [ratio] = compare(RUNS, "ours")
    assert (ratio.peer, ratio.ratio) == ("peer", Spread(2.0, 1.0, 3.0))


@pytest.mark.parametrize(("values", "expected"), [([], None), ([5.0], 5.0), ([1.0, 2.0, 3.0], 2.0)])
def test_percentiles_of_few_values(values: list[float], expected: float | None) -> None:
    assert percentile(values, 50) == expected


def test_figures_of_a_busy_machine_are_marked() -> None:
    servers = [Server(Target(name, "127.0.0.1", 1), "", {"ignore_eos": True}) for name in ("ours", "peer")]
    report = Report("now", "a machine", "Python", 43.0, 3, 7, [Load(4, 2, 64)], servers, RUNS)
    assert "Not reliable: 43% of the machine's CPU was busy" in report.to_markdown()


def test_the_report_has_the_tables_and_never_the_key() -> None:
    servers = [
        Server(Target("ours", "127.0.0.1", 1, api_key="secret"), "uvicorn", {"ignore_eos": True}),
        Server(Target("peer", "127.0.0.1", 2, model="m"), "", {}),
    ]
    report = Report("now", "a machine", "Python", 2.0, 3, 7, [Load(4, 2, 64)], servers, RUNS)
    markdown, data = report.to_markdown(), report.to_json()
    assert "| 4 | ours | 45.0 (20.0 to 50.0) | 250.0 | 250.0 | 20.0 | 30.0 | 110 | 90 | 3 | 2 |" in markdown
    assert "| ours / peer | 2.00 (1.00 to 3.00) |" in markdown
    assert "end early: peer." in markdown
    assert "Not reliable" not in markdown
    assert json.loads(data)["ratios"][0]["ratio"] == {"median": 2.0, "low": 1.0, "high": 3.0}
    assert len(json.loads(data)["runs"]) == 6
    assert "secret" not in markdown + data
