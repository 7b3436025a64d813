"""The limits of a cgroup (of a container or a system service) apply to the cores and the memory of the engine."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from llm_api.engine import machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has cgroups")

OWN = "system.slice/own.service"
VERSION_2 = {
    "memory.max": "1000000",
    "memory.current": "600000",
    "memory.stat": "anon 1\ninactive_file 50000\nactive_file 7",
    "cpu.max": "50000 100000",
}
VERSION_1 = {
    "memory/memory.limit_in_bytes": "1000000",
    "memory/memory.usage_in_bytes": "600000",
    "memory/memory.stat": "inactive_file 3\nactive_file 7\ntotal_inactive_file 50000",
    "cpu/cpu.cfs_quota_us": "50000",
    "cpu/cpu.cfs_period_us": "100000",
}
UNLIMITED_1 = {"memory/memory.limit_in_bytes": "9223372036854771712", "cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}


@pytest.fixture(autouse=True)
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    (tmp_path / "membership").write_text(f"12:cpu,cpuacct:/{OWN}\n4:memory:/{OWN}\n1:name=systemd:/{OWN}\n0::/{OWN}\n")
    monkeypatch.setattr(machine, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(machine, "CGROUP_MEMBERSHIP", tmp_path / "membership")
    return tmp_path


def write(root: Path, path: str, files: dict[str, str]) -> None:
    for name, text in files.items():
        controller, _, file = name.rpartition("/")
        folder = root / controller / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(f"{text}\n")


@pytest.mark.parametrize("files", [VERSION_2, VERSION_1], ids=["version 2", "version 1"])
@pytest.mark.parametrize("path", [OWN, ""], ids=["own", "root"])
def test_the_limits_of_the_process_cgroup_apply_else_those_of_the_root(system: Path, path: str, files: dict[str, str]) -> None:
    write(system, path, files)
    assert machine.available_memory() == 450_000
    assert machine.available_cores() == 1


@pytest.mark.parametrize("tight", [OWN, "system.slice", ""], ids=["own", "slice", "root"])
@pytest.mark.parametrize(
    ("files", "loose"),
    [(VERSION_2, {"memory.max": "max", "cpu.max": "max 100000"}), (VERSION_1, UNLIMITED_1)],
    ids=["version 2", "version 1"],
)
def test_the_lowest_limit_up_to_the_root_applies(system: Path, files: dict[str, str], loose: dict[str, str], tight: str) -> None:
    for path in (OWN, "system.slice", ""):
        write(system, path, files | ({} if path == tight else loose))
    assert machine.available_memory() == 450_000
    assert machine.available_cores() == 1


def test_a_limit_that_is_not_a_number_is_no_limit(system: Path) -> None:
    write(system, OWN, {"memory/memory.limit_in_bytes": "-1", "cpu/cpu.cfs_quota_us": "50000"})
    assert machine.available_memory() > 2**20
    assert machine.available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    "files", [{"memory.max": "max", "cpu.max": "max 100000"}, UNLIMITED_1, {}], ids=["version 2", "version 1", "no cgroup"]
)
def test_without_a_limit_the_whole_machine_is_available(system: Path, files: dict[str, str]) -> None:
    write(system, "", files)
    assert machine.available_memory() == pytest.approx(psutil.virtual_memory().available, rel=0.2)
    assert machine.available_cores() == len(os.sched_getaffinity(0))


def test_a_cgroup_over_its_limit_has_no_available_memory(system: Path) -> None:
    write(system, OWN, VERSION_1 | {"memory/memory.usage_in_bytes": "2000000"})
    assert machine.available_memory() == 0
