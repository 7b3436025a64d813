"""Short requests do not wait for long ones."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from llm_api.service.lanes import LONG_BODY, Lanes
from llm_api.telemetry.context import REQUEST_CONTEXT, RequestContext


async def run(lanes: Lanes, body_bytes: int, released: threading.Event) -> bool:
    REQUEST_CONTEXT.set(RequestContext("", body_bytes=body_bytes))
    return await lanes.run(released.wait, 10)


async def test_a_short_request_does_not_wait_for_long_ones() -> None:
    lanes, held, free = Lanes(ThreadPoolExecutor(1)), threading.Event(), threading.Event()
    free.set()
    long = [asyncio.create_task(run(lanes, LONG_BODY + 1, held)) for _ in range(3)]
    assert await asyncio.wait_for(asyncio.create_task(run(lanes, LONG_BODY, free)), 5)
    held.set()
    assert await asyncio.gather(*long) == [True] * 3
    lanes.stop()
