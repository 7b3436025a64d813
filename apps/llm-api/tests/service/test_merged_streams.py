import asyncio
from collections.abc import AsyncGenerator

import pytest

from llm_api.service.request_sequences import merged


async def stream(name: str, open_streams: set[str], count: int | None = None, *, fails: bool = False) -> AsyncGenerator[str]:
    open_streams.add(name)
    try:
        number = 0
        while number != count:
            await asyncio.sleep(0)
            yield f"{name}{number}"
            number += 1
        if fails:
            raise ValueError(name)
    finally:
        open_streams.discard(name)


async def test_all_items_of_all_streams_come_in_their_order() -> None:
    items = [item async for item in merged([stream("a", set(), 3), stream("b", set(), 2), stream("c", set(), 0)])]
    assert [item for item in items if item[0] == "a"] == ["a0", "a1", "a2"]
    assert [item for item in items if item[0] == "b"] == ["b0", "b1"]


@pytest.mark.parametrize("names", ["a", "ab"])
async def test_closing_closes_every_stream(names: str) -> None:
    open_streams: set[str] = set()
    items = merged([stream(name, open_streams) for name in names])
    await anext(items)
    assert open_streams == set(names)
    await items.aclose()
    assert not open_streams


@pytest.mark.parametrize("others", ["", "b", "bc"])
async def test_a_failure_is_raised_and_closes_the_others(others: str) -> None:
    open_streams: set[str] = set()
    with pytest.raises(ValueError, match="a"):
        async for _ in merged([stream("a", open_streams, 2, fails=True), *(stream(name, open_streams) for name in others)]):
            pass
    assert not open_streams
