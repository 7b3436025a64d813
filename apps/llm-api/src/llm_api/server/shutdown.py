"""Shutdown: SIGTERM or SIGINT drains the requests, a second signal exits at once, and a failed model exits with an error."""

import asyncio
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from llm_api.protocol.errors import ApiError, EngineFailed, Leaving
from llm_api.server.lifecycle import Lifecycle
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ERROR_DELIVERY = 1.5  # seconds for requests in flight to send their error; a stream's last write takes at most 1


class Shutdown:
    """`hurried` is true after a second signal, a failure or the full DRAIN_TIMEOUT: clients then get little time to read their
    last bytes."""

    def __init__(self, settings: Settings, service: ModelService, lifecycle: Lifecycle) -> None:
        self.hurried = False
        self._settings = settings
        self._service = service
        self._lifecycle = lifecycle
        self._requested = asyncio.Event()
        self._repeated = asyncio.Event()
        self._signal = signal.SIGTERM
        self._log = structlog.stdlib.get_logger("llm_api.server.shutdown")

    @contextmanager
    def taking_signals(self) -> Iterator[None]:
        """Handles signals in the main thread. In other threads it does nothing: there the caller cancels the server to end it."""
        loop = asyncio.get_running_loop()
        signals = SIGNALS if threading.current_thread() is threading.main_thread() else ()
        for number in signals:
            loop.add_signal_handler(number, self.take_signal, number)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def take_signal(self, number: signal.Signals) -> None:
        (self._repeated if self._requested.is_set() else self._requested).set()
        self._signal = number

    async def wait(self) -> int:
        """Returns the exit code of the process when the server has nothing left to serve."""
        failed = asyncio.ensure_future(self._service.wait_failed())
        left, repeated = asyncio.ensure_future(self._leave()), asyncio.ensure_future(self._repeated.wait())
        try:
            await asyncio.wait({failed, left, repeated}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                return await self._fail(failed.result())
            if left.done():
                return left.result()
            self._log.warning("leaving at once", signal=self._signal.name, in_flight=self._lifecycle.in_flight)
            await self._cut_all(Leaving())
            return 128 + self._signal
        finally:
            for task in (failed, left, repeated):
                task.cancel()

    async def _leave(self) -> int:
        await self._requested.wait()
        lame_duck = self._lame_duck_seconds()
        self._lifecycle.begin_lame_duck()
        self._log.info("leaving", signal=self._signal.name, lame_duck_seconds=lame_duck, in_flight=self._lifecycle.in_flight)
        await asyncio.sleep(lame_duck)
        self._lifecycle.begin_drain()
        self._log.info("draining", in_flight=self._lifecycle.in_flight, drain_timeout=self._settings.drain_timeout)
        if not await self._idle_within(self._settings.drain_timeout):
            self._log.warning("DRAIN_TIMEOUT reached", in_flight=self._lifecycle.in_flight)
            await self._cut_all(Leaving())
        return 0

    async def _fail(self, reason: str) -> int:
        self._log.error("the model cannot serve any more", reason=reason, in_flight=self._lifecycle.in_flight)
        self._lifecycle.begin_drain()
        if not await self._idle_within(ERROR_DELIVERY):
            await self._cut_all(EngineFailed("The engine failed while the request was running; try again."))
        self.hurried = True
        return 1

    async def _cut_all(self, reason: ApiError) -> None:
        """Clients get the error object, or an error event in a stream, instead of a closed connection."""
        self.hurried = True
        self._lifecycle.begin_drain()
        self._lifecycle.cut_all(reason)
        await self._idle_within(ERROR_DELIVERY)

    async def _idle_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._lifecycle.idle()
        except TimeoutError:
            return False
        return True

    def _lame_duck_seconds(self) -> float:
        """0 after Ctrl-C in a terminal, and 0 while the service is not ready: then no load balancer sends requests here."""
        interactive = self._signal is signal.SIGINT and sys.stderr.isatty()
        return 0 if interactive or self._service.health().phase != "ready" else self._settings.lame_duck_seconds
