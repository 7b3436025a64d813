"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

Item = TypeVar("Item")


async def merged(streams: Sequence[AsyncGenerator[Item]]) -> AsyncGenerator[Item]:
    """Items as they come. When this is closed, or one stream fails, all streams are closed before it returns."""
    if len(streams) == 1:
        async with aclosing(streams[0]) as stream:
            async for item in stream:
                yield item
        return
    queue: asyncio.Queue[Item | _Ended] = asyncio.Queue()
    tasks = [asyncio.create_task(_pump(stream, queue)) for stream in streams]
    try:
        for _ in streams:
            while not isinstance(item_or_end := await queue.get(), _Ended):
                yield item_or_end
            if item_or_end.error is not None:
                raise item_or_end.error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Ended:
    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


async def _pump(stream: AsyncGenerator[Item], queue: "asyncio.Queue[Item | _Ended]") -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                queue.put_nowait(item)
    except Exception as error:
        queue.put_nowait(_Ended(error))
    else:
        queue.put_nowait(_Ended())
