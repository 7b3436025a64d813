"""Suites run at the same time. A suite that passed is recorded, and left out the next time. A failure fails the run."""

import asyncio
import os
from pathlib import Path

import pytest

from tools.ci.records import Records
from tools.ci.runner import Runner
from tools.ci.suites import CONTRACT, PROXY, TEST, Suite

MAKEFILE = """
contract:
\t@echo one; sleep 0.5; echo two
e2e-proxy:
\t@sleep 0.2; echo three; exit $(CODE)
test:
\t@echo tested
"""
COMMIT = "0123456789abcdef"


class Machine:
    """A clone with a Makefile, and the records of one machine. `fingerprint`: the inputs of every suite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fingerprint: str | None = "a"
        (folder / "Makefile").write_text(MAKEFILE)

    def runner(self, *, full: bool = False) -> Runner:
        return Runner(self.folder, self.folder, Records(self.folder / "passed", ignore=full), lambda _suite: self.fingerprint, COMMIT)

    async def run(self, *suites: Suite, full: bool = False, **environment: str) -> Runner:
        runner = self.runner(full=full)
        async with asyncio.TaskGroup() as group:
            for suite in suites:
                if not runner.skip(suite):
                    group.create_task(runner.suite(suite, os.environ | {"CODE": "0"} | environment))
        return runner


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def outcomes(runner: Runner) -> dict[str, str]:
    return {result.name: result.outcome.split(":")[0] for result in runner.results}


async def test_output_of_suites_that_run_together_is_not_mixed(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    await machine.run(CONTRACT, PROXY)
    printed = capfd.readouterr().out
    assert "== make contract\none\ntwo\n== make contract: passed, 0.0 min" in printed
    assert "== make e2e-proxy\nthree\n== make e2e-proxy: passed" in printed


async def test_a_suite_that_passed_with_the_same_inputs_is_left_out(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    await machine.run(CONTRACT)
    again = await machine.run(CONTRACT)
    assert outcomes(again) == {"make contract": "left out"}
    assert "== make contract: left out, it passed with the same inputs (20" in capfd.readouterr().out
    assert COMMIT[:12] in again.table(0)


async def test_it_runs_with_other_inputs_with_unknown_ones_and_with_ci_full(machine: Machine) -> None:
    await machine.run(CONTRACT)
    assert outcomes(await machine.run(CONTRACT, full=True)) == {"make contract": "passed"}
    for inputs in ("b", None):
        machine.fingerprint = inputs
        assert outcomes(await machine.run(CONTRACT)) == {"make contract": "passed"}


async def test_a_full_run_is_recorded_too(machine: Machine) -> None:
    await machine.run(CONTRACT, full=True)
    assert outcomes(await machine.run(CONTRACT)) == {"make contract": "left out"}


async def test_unknown_inputs_are_not_recorded(machine: Machine) -> None:
    machine.fingerprint = None
    await machine.run(CONTRACT)
    assert not (machine.folder / "passed").exists()


async def test_a_failure_is_not_recorded_and_prints_its_log(machine: Machine, capfd: pytest.CaptureFixture[str]) -> None:
    failed = await machine.run(PROXY, CODE="3")
    assert failed.failed and outcomes(failed) == {"make e2e-proxy": "FAILED with 2"}
    assert "three" in capfd.readouterr().out
    assert outcomes(await machine.run(PROXY)) == {"make e2e-proxy": "passed"}


async def test_inputs_that_change_during_the_run_are_not_recorded(machine: Machine) -> None:
    running = asyncio.create_task(machine.run(CONTRACT))
    await asyncio.sleep(0.2)
    machine.fingerprint = "b"
    await running
    for inputs in ("a", "b"):
        machine.fingerprint = inputs
        assert not machine.runner().skip(CONTRACT)


async def test_the_unit_tests_always_run(machine: Machine) -> None:
    await machine.run(TEST)
    assert outcomes(await machine.run(TEST)) == {"make test": "passed"}


async def test_a_damaged_record_counts_as_none(machine: Machine) -> None:
    await machine.run(CONTRACT)
    [record] = (machine.folder / "passed" / "contract").iterdir()
    record.write_text("")
    assert outcomes(await machine.run(CONTRACT)) == {"make contract": "passed"}


async def test_after_a_failure_running_suites_end_no_other_starts_and_preparations_are_interrupted(machine: Machine) -> None:
    runner = machine.runner()
    preparing = asyncio.create_task(runner.preparation("compile", "sleep 60", os.environ))
    running = asyncio.create_task(runner.suite(CONTRACT, os.environ))
    await runner.suite(PROXY, os.environ | {"CODE": "1"})
    assert not await preparing
    await running
    await runner.suite(TEST, os.environ)
    expected = {"make e2e-proxy": "FAILED with 2", "compile": "interrupted", "make contract": "passed", "make test": "not started"}
    assert outcomes(runner) == expected


async def test_a_cancelled_run_interrupts_its_suites(machine: Machine) -> None:
    script = "trap 'touch stopped; exit 1' INT; sleep 60 & wait"
    running = asyncio.create_task(machine.runner().command("waits", ["bash", "-c", script], os.environ))
    await asyncio.sleep(0.5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (machine.folder / "stopped").exists()
