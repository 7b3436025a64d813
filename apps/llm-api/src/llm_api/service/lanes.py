"""Threads for work on texts, off the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from llm_api.telemetry.context import current_request

T = TypeVar("T")

LONG_BODY = 64 * 1024  # bytes; a text of this length takes 50 ms


class Lanes:
    """Long requests have a thread of their own. A body of 8 MiB takes seconds: short requests do not wait for it."""

    def __init__(self, short: ThreadPoolExecutor) -> None:
        """`short`: for all others; it may have more work."""
        self._short = short
        self._long = ThreadPoolExecutor(1, thread_name_prefix="long-texts")

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """For the current request."""
        lane = self._long if current_request().body_bytes > LONG_BODY else self._short
        return await asyncio.get_running_loop().run_in_executor(lane, function, *arguments)

    def stop(self) -> None:
        for lane in (self._short, self._long):
            lane.shutdown(wait=False, cancel_futures=True)
