"""The KV cache's memory is populated before its first use, so that no step waits for page faults."""

import asyncio
import mmap
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from llm_api.engine.client import EngineClient
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.memory import HUGE_PAGE, populate, zeroed_pages
from llm_api.engine.messages import EngineConfig

pytestmark = pytest.mark.skipif(not populate(zeroed_pages(1)), reason="the system cannot populate pages before their first use")

GIB = 2**30
LAYERS = 3
BLOCK_BYTES = 2 * 16 * 2 * 64 * 4  # [16, 2, 2, 64] of float32


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def cache(mebibytes: int) -> KVCache:
    blocks = mebibytes * 2**20 // (LAYERS * BLOCK_BYTES) - 1
    return KVCache(KVCacheShape(LAYERS, 2, 64, torch.float32), blocks, 16, torch.device("cpu"))


def test_a_cache_takes_no_memory_until_it_is_populated() -> None:
    before = resident()
    made = cache(192)
    assert resident() - before < 32 * 2**20
    made.populate(lambda: 100 * GIB)
    assert resident() - before > 180 * 2**20


def test_it_stops_when_memory_is_scarce() -> None:
    before, asked = resident(), []
    made = cache(192)

    def available() -> int:
        asked.append(resident() - before)
        return GIB if asked[-1] < 60 * 2**20 else 0

    made.populate(available)
    assert 60 * 2**20 <= resident() - before < 90 * 2**20


def test_more_memory_than_the_system_has_raises_memory_error() -> None:
    with pytest.raises(MemoryError, match="the system cannot allocate .* GiB of memory"):
        zeroed_pages(2**50)


def test_a_kernel_without_huge_pages_gives_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 9999)
    assert not zeroed_pages(HUGE_PAGE).any()


def test_populating_keeps_what_another_thread_writes() -> None:
    pages = zeroed_pages(64 * HUGE_PAGE)
    thread = threading.Thread(target=populate, args=(pages,))
    thread.start()
    pages[::4096] = 7
    thread.join()
    assert populate(pages)
    assert (pages[::4096] == 7).all() and not pages[1::4096].any()


async def test_an_engine_populates_its_cache_once_it_is_ready(checkpoint: Callable[[str], Path]) -> None:
    engine = EngineClient(EngineConfig(model_path=str(checkpoint("llama")), dtype="float32", num_threads=1, kv_cache_memory=192 * 2**20))
    await engine.start()
    try:
        await engine.wait_ready()
        while largest_mapping(engine.pid or 0) < 180 * 2**20:
            await asyncio.sleep(0.1)
    finally:
        await engine.stop()


def largest_mapping(pid: int) -> int:
    """Resident bytes of the largest anonymous mapping of the process."""
    return max(int(mapping.rss) for mapping in psutil.Process(pid).memory_maps(grouped=False) if mapping.path == "[anon]")
