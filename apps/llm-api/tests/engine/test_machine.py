"""What a cgroup leaves of the machine is what counts, be it a container's or a system service's."""

import sys
from pathlib import Path

import pytest

from llm_api.engine import machine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="cgroups are Linux's")

OWN = next((line[3:].lstrip("/") for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "")


@pytest.mark.parametrize("folder", [OWN, ""], ids=["own", "root"])
def test_the_limits_of_the_own_cgroup_and_else_of_the_root_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    limits = tmp_path / folder
    limits.mkdir(parents=True, exist_ok=True)
    (limits / "memory.max").write_text("1000000\n")
    (limits / "memory.current").write_text("600000\n")
    (limits / "memory.stat").write_text("anon 1\ninactive_file 50000\nactive_file 7\n")
    (limits / "cpu.max").write_text("50000 100000\n")
    assert machine.available_memory() == 450_000
    assert machine.available_cores() == 1


def test_no_limit_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.available_memory() > 2**20
