"""The native runner keeps its weights only in private memory that can use huge pages."""

import sys
from pathlib import Path

import pytest
import torch
from engine.checkpoints import save
from engine.conftest import tiny_executor

from llm_api.engine.memory import HUGE_PAGE, Arena

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def mapping_of(address: int) -> dict[str, str]:
    """The entry of /proc/self/smaps that holds `address`."""
    found: dict[str, str] = {}
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, value = line.partition(":")
        if "-" in name.split(" ")[0] and not value.strip().endswith("kB"):
            if found:
                return found
            start, end = (int(part, 16) for part in name.split(" ")[0].split("-"))
            inside = start <= address < end
        elif inside:
            found[name] = value
    return found


def test_weights_can_use_huge_pages() -> None:
    memory = Arena().allocate(3 * HUGE_PAGE)
    assert memory.data_ptr() % HUGE_PAGE == 0
    flags = mapping_of(memory.data_ptr())["VmFlags"].split()
    assert "hg" in flags, "madvise was not called"
    assert "sh" not in flags, "shared memory gets no huge pages"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_checkpoints_file_is_not_kept_in_memory(tmp_path: Path, dtype: str) -> None:
    path = save("llama", tmp_path)  # a separate folder, because models of other tests may still be mapped
    executor = tiny_executor(path, runner="native", dtype=dtype)
    assert str(path) not in Path("/proc/self/maps").read_text()
    assert executor.model.name == "native"


def test_allocations_of_an_arena_do_not_overlap() -> None:
    arena = Arena()
    first, second = arena.allocate(100), arena.allocate(100)
    first.fill_(1), second.fill_(2)
    assert torch.equal(first, torch.full((100,), 1, dtype=torch.uint8))
    assert second.data_ptr() % 64 == 0
