"""The phases of the server between its start and its exit, and the requests in flight."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Protocol


class ServerPhase(Enum):
    SERVING = auto()
    LAME_DUCK = auto()  # not ready, but still accepts requests
    DRAINING = auto()  # only finishes the requests in flight


class Cuttable(Protocol):
    def cut(self, reason: Exception) -> None: ...


class Lifecycle:
    """For use in one event loop."""

    def __init__(self) -> None:
        self._phase = ServerPhase.SERVING
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._cuttables: set[Cuttable] = set()
        self._cut_reason: Exception | None = None

    @property
    def leaving(self) -> bool:
        return self._phase is not ServerPhase.SERVING

    @property
    def draining(self) -> bool:
        return self._phase is ServerPhase.DRAINING

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def begin_lame_duck(self) -> None:
        self._phase = ServerPhase.LAME_DUCK

    def begin_drain(self) -> None:
        self._phase = ServerPhase.DRAINING

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Counts a request as in flight: a drain waits for it."""
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
        """Lets `cut_all` end a part of a request. Every part that may take long needs this."""
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
        """Fails every request in flight with `reason`, which goes to its client."""
        self._cut_reason = reason
        for part in tuple(self._cuttables):
            part.cut(reason)
