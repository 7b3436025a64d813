"""Scenarios besides the closed loop: their requests, and the calculation of their figures."""

import os

import pytest
from bench.scripted_openai_server import ScriptedServer, serving

from llm_api.bench.exchange import BenchError
from llm_api.bench.own_server import NAME, Footprint, memory_of
from llm_api.bench.probe import Server
from llm_api.bench.prompts import Prompts
from llm_api.bench.sample import Sample
from llm_api.bench.scenarios import FOLLOWERS, SCENARIOS, STREAMS, MixedRun, measure_scenario, mixed_load, named, shared_prefix


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.bench.scenarios.HEAD_START", 0.1)


async def test_requests_of_a_round_share_a_system_prompt_that_no_earlier_round_had() -> None:
    async with serving(ScriptedServer()) as scripted:
        server, prompts = Server(scripted.target(), "", {}), Prompts(1)
        for number in (1, 2):
            assert (await shared_prefix(server, prompts, number)).failure is None
    systems = [body["messages"][0]["content"] for body in scripted.bodies]
    users = [body["messages"][1]["content"] for body in scripted.bodies]
    assert len(systems) == 2 * (1 + FOLLOWERS)
    assert len(set(systems[: 1 + FOLLOWERS])) == len(set(systems[1 + FOLLOWERS :])) == 1
    assert systems[0].split()[:3] != systems[-1].split()[:3]
    assert len(set(users)) == len(users)
    assert 700 < len(systems[0].split()) < 900


async def test_the_long_prompt_is_sent_after_the_streams() -> None:
    async with serving(ScriptedServer()) as scripted:
        run = await mixed_load(Server(scripted.target(), "", {}), Prompts(1), 1)
    assert run.failure is None
    assert len(run.streams) == STREAMS
    assert len(scripted.bodies[-1]["messages"][0]["content"].split()) > 3000


def test_a_pause_counts_where_it_overlaps_the_long_prompts_prefill() -> None:
    long = Sample(sent=10.0, ended=13.0, first_token=2.0, completion_tokens=1)
    stream = Sample(sent=8.0, ended=14.0, first_token=1.0, gaps=(0.9, 0.5, 0.2, 1.5, 0.3, 0.1), completion_tokens=7)
    run = MixedRun("ours", 1, long, [stream])  # pieces at 9, 9.9, 10.4, 10.6, 12.1, 12.4 and 12.5
    assert run.longest_pause(disturbed=True) == 1.5
    assert run.longest_pause(disturbed=False) == pytest.approx(0.3)
    assert "| ours |  | 1500 | 300 | 2000 | 0 |" in SCENARIOS["mixed"].section([run]).markdown


async def test_a_server_that_refuses_is_counted_and_does_not_end_the_benchmark() -> None:
    async with serving(ScriptedServer()) as good, serving(ScriptedServer(status=400)) as bad:
        servers = [Server(good.target("good"), "", {}), Server(bad.target("bad"), "", {})]
        lines: list[str] = []
        result = await measure_scenario(SCENARIOS["prefix"], servers, 2, Prompts(1), lines.append)
    assert "| bad |  |  |  |  | 2 |" in result.markdown
    assert any("HTTP 400" in line for line in lines)


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    assert named("") == []
    with pytest.raises(BenchError, match="'fast' is not a scenario: use prefix, mixed"):
        named("prefix,fast")


def test_memory_is_that_of_the_process_and_its_children() -> None:
    assert 10 * 2**20 < memory_of(os.getpid()) < 64 * 2**30
    footprint = Footprint({"QUANTIZATION": "int4"}, 6.12, 700 * 2**20)
    assert str(footprint) == f"{NAME}, with `QUANTIZATION=int4`, was ready after 6.1 s and held 700 MiB after the load."
