"""Scenarios 1 to 6 of docs/proxy.md. Each has a negative control without the retry, which must lose requests."""

import asyncio
import time
from collections.abc import Callable

import pytest
from counted_load import REQUESTS, STREAMS, Outcome
from reverse_proxy.machine import Machine

ALL = ("replica-1", "replica-2", "replica-3")
STALL_SECONDS = 20  # ENGINE_STALL_TIMEOUT of the machine


@pytest.fixture(autouse=True)
def all_ready(machine: Machine) -> None:
    machine.wait_ready()


def replace_gracefully(machine: Machine) -> None:
    machine.stop("replica-1")
    machine.start("replica-1")
    machine.wait_ready()


def kill(machine: Machine) -> None:
    before = machine.pid("replica-2")
    machine.kill("replica-2")
    machine.until(lambda: machine.pid("replica-2") not in {0, before})
    machine.wait_ready()


def restart_all(machine: Machine) -> None:
    machine.run("restart")


def start_late(machine: Machine) -> None:
    machine.start("replica-3")
    machine.wait_ready()


async def during(machine: Machine, event: Callable[[Machine], None]) -> Outcome:
    return await machine.load().around(lambda: event(machine))


async def during_control(machine: Machine, event: Callable[[Machine], None]) -> Outcome:
    return await machine.load(first_loss_is_enough=True).around(lambda: event(machine))


def assert_nothing_lost(outcome: Outcome) -> None:
    assert outcome.lost == {}
    assert outcome.answered >= REQUESTS
    assert outcome.streams >= STREAMS


async def test_sigterm_to_one_of_three_loses_nothing(machine: Machine) -> None:
    assert_nothing_lost(await during(machine, replace_gracefully))


@pytest.mark.usefixtures("without_retries")
async def test_sigterm_without_the_retry_loses_requests(machine: Machine) -> None:
    assert (await during_control(machine, replace_gracefully)).lost_requests > 0


async def test_a_rolling_restart_of_all_loses_nothing(machine: Machine) -> None:
    before = [machine.pid(name) for name in ALL]
    assert_nothing_lost(await during(machine, restart_all))
    assert set(before).isdisjoint([machine.pid(name) for name in ALL])


@pytest.mark.usefixtures("without_retries")
async def test_a_rolling_restart_without_the_retry_loses_requests(machine: Machine) -> None:
    assert (await during_control(machine, restart_all)).lost_requests > 0


async def test_sigkill_breaks_only_streams_that_had_begun_on_that_replica_and_visibly(machine: Machine) -> None:
    begin = machine.log_so_far()
    outcome = await during(machine, kill)
    streams = [entry for entry in machine.logged_since(begin, outcome.sent) if entry["request_id"].startswith("stream-")]
    begun_there = [entry["request_id"] for entry in streams if entry["upstream"].endswith(machine.upstream_of(2))]
    assert len(streams) >= STREAMS
    assert outcome.lost_requests == 0
    assert set(outcome.broken_streams) <= set(begun_there)
    assert 0 < len(outcome.broken_streams) < STREAMS
    assert outcome.streams == len(streams) - len(outcome.broken_streams)
    assert set(outcome.lost) <= {"RemoteProtocolError", "ReadError", "stream with an error event"}, "a silent end looks complete"


@pytest.mark.usefixtures("without_retries")
async def test_sigkill_without_the_retry_loses_requests_too(machine: Machine) -> None:
    assert (await during_control(machine, kill)).lost_requests > 0


async def test_a_hung_engine_is_replaced_and_no_request_is_lost(machine: Machine) -> None:
    before = machine.pid("replica-3")

    def hang(machine: Machine) -> None:
        machine.engine("replica-3").suspend()  # like a step that never ends
        red = machine.until(lambda: machine.probe(3, "/livez") != 200, STALL_SECONDS + 15)
        replaced = machine.until(lambda: machine.pid("replica-3") not in {0, before}, 60)
        print(f"/livez failed after {red:.0f} s, the replica replaced {replaced:.0f} s later")
        machine.wait_ready()

    outcome = await during(machine, hang)
    assert outcome.lost_requests == 0
    assert outcome.answered >= REQUESTS
    assert 0 < len(outcome.broken_streams) <= STREAMS
    assert set(outcome.lost) <= {"RemoteProtocolError", "ReadError", "stream with an error event"}


async def test_a_hung_engine_without_the_liveness_check_loses_requests(machine: Machine) -> None:
    machine.supervisor.call("stopProcess", "liveness")
    engine = machine.engine("replica-3")
    engine.suspend()
    try:
        async with machine.async_client(timeout=STALL_SECONDS + 5) as client:
            question = {"model": "SmolLM2-135M-Instruct", "messages": [{"role": "user", "content": "What is a pod?"}], "max_tokens": 16}
            asked = [client.post("/v1/chat/completions", json=question) for _ in range(24)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
    finally:
        engine.resume()
        machine.start("liveness")
    lost = sum(isinstance(answer, Exception) for answer in answers)
    print(f"{lost} of {len(answers)} lost")
    assert lost > 0


async def test_another_replica_answers_for_a_loading_one(machine: Machine) -> None:
    machine.stop("replica-3")
    begin = machine.log_so_far()
    outcome = await during(machine, start_late)
    assert_nothing_lost(outcome)
    statuses = [entry["upstream_status"] for entry in machine.logged_since(begin, outcome.sent)]
    refused = statuses.count("503, 200")
    print(f"{refused} requests were sent to the loading replica first")
    assert refused > 0


@pytest.mark.usefixtures("without_retries")
async def test_a_loading_replica_without_the_retry_loses_requests(machine: Machine) -> None:
    machine.stop("replica-3")
    begin = machine.log_so_far()
    outcome = await during(machine, start_late)  # not during_control: the first loss is that of the stopped replica
    assert outcome.lost["status 503"] > 0
    statuses = [entry["upstream_status"] for entry in machine.logged_since(begin, outcome.sent)]
    assert "503" in statuses, "the loading replica returns 503; a stopped one is logged as 502"


def test_without_any_replica_requests_get_503_at_once_and_service_recovers_by_itself(machine: Machine) -> None:
    question = {"model": "SmolLM2-135M-Instruct", "messages": [{"role": "user", "content": "What is a pod?"}], "max_tokens": 1}
    with machine.client() as client:
        machine.stop(*ALL)
        for _ in range(10):
            asked = time.monotonic()
            response = client.post("/v1/chat/completions", json=question)
            assert time.monotonic() - asked < 2
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "service_unavailable"
            assert int(response.headers["retry-after"]) > 0
            assert response.headers["x-request-id"]
        assert client.get("/healthz").status_code == 200
        assert client.get("/healthz/pool").status_code == 503
        machine.start(*ALL)
        machine.until(lambda: client.post("/v1/chat/completions", json=question).status_code == 200)
        assert client.get("/healthz/pool").status_code == 200
    machine.wait_ready()
