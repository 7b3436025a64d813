"""Where the server is between its start and its exit, and what it has in flight."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol


class Phase(Enum):
    SERVING = auto()
    LAME_DUCK = auto()  # not ready, still serving
    DRAINING = auto()  # only what is in flight


class Cuttable(Protocol):
    def cut(self, reason: Exception) -> None: ...


class Lifecycle:
    """One event loop."""

    def __init__(self) -> None:
        self._phase = Phase.SERVING
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._cuttables: set[Cuttable] = set()
        self._cut_reason: Exception | None = None

    @property
    def leaving(self) -> bool:
        return self._phase is not Phase.SERVING

    @property
    def draining(self) -> bool:
        return self._phase is Phase.DRAINING

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def begin_lame_duck(self) -> None:
        self._phase = Phase.LAME_DUCK

    def begin_drain(self) -> None:
        self._phase = Phase.DRAINING

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Around a request that a drain waits for."""
        self._in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self._idle.set()

    @contextmanager
    def cuttable(self, part: Cuttable) -> Iterator[None]:
        """Around a part of a request that `cut_all` can end: all that may last."""
        self._cuttables.add(part)
        if self._cut_reason:
            part.cut(self._cut_reason)
        try:
            yield
        finally:
            self._cuttables.discard(part)

    async def idle(self) -> None:
        """Returns once nothing is in flight."""
        await self._idle.wait()

    def cut_all(self, reason: Exception) -> None:
        """Each request in flight fails with `reason`, which its client is told."""
        self._cut_reason = reason
        for part in tuple(self._cuttables):
            part.cut(reason)
