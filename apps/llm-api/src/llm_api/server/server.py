"""Serves ASGI applications under uvicorn, from the first bound socket to the exit code."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog
import uvicorn
from starlette.types import ASGIApp

from llm_api.server.http_protocol import HttpProtocol
from llm_api.server.lifecycle import Lifecycle
from llm_api.server.listening import StartError, bind, check_startable, url_of
from llm_api.server.shutdown import Shutdown
from llm_api.service.model_service import ModelService
from llm_api.settings import Settings

LAST_BYTES = 5.0  # seconds for clients to read what was written, once no request is in flight
HURRIED_LAST_BYTES = 0.5
SERVICE_STOP = 8.0  # seconds; the service itself gives its engine 5


@dataclass(frozen=True, slots=True)
class Applications:
    """What the server serves: `api` on PORT, and `management` on MANAGEMENT_PORT, which must be set if it is given."""

    api: ASGIApp
    management: ASGIApp | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    url: str
    management_url: str | None


async def serve(
    settings: Settings,
    service: ModelService,
    lifecycle: Lifecycle,
    create_applications: Callable[[], Applications],
    on_listening: Callable[[Addresses], None] | None = None,
) -> int:
    """Serves until a signal arrives or the service fails. Returns the exit code.

    `create_applications` is called after the signal handlers are set and the settings are checked, and may raise StartError.
    `on_listening` gets the addresses with their real ports, before the service starts to load.
    """
    log = structlog.stdlib.get_logger("llm_api.server.server")
    shutdown = Shutdown(settings, service, lifecycle)
    with shutdown.taking_signals():
        try:
            check_startable(settings)
            servers, addresses = _listen(settings, create_applications())
        except StartError as error:
            log.error("not started", reason=str(error))
            return error.exit_code
        log.info("listening", url=addresses.url, management_url=addresses.management_url)
        if on_listening:
            on_listening(addresses)
        try:
            return await _serve_until(shutdown, service, servers)
        finally:
            await _stop(service)
            log.info("stopped")


class _Server(uvicorn.Server):
    """Leaves the signals to Shutdown: uvicorn would close its listener on the first one."""

    def __init__(self, app: ASGIApp, listener: socket.socket, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=HttpProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=settings.keep_alive_timeout,
                timeout_graceful_shutdown=int(LAST_BYTES) + 1,
            )
        )
        self._listener = listener
        self._last_bytes = LAST_BYTES

    async def run_until_exit(self) -> None:
        await self.serve(sockets=[self._listener])

    def leave(self, hurried: bool) -> None:
        self.should_exit = True
        if hurried:
            self._last_bytes = HURRIED_LAST_BYTES

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Disconnects clients that do not read their last bytes in time. Their requests end as if the client had left.
        uvicorn would cancel the tasks instead, which would answer in plain text and log tracebacks."""
        late = asyncio.get_running_loop().call_later(self._last_bytes, self._disconnect_all)
        try:
            await super().shutdown(sockets)
        finally:
            late.cancel()

    def _disconnect_all(self) -> None:
        for connection in tuple(self.server_state.connections):
            connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(settings: Settings, applications: Applications) -> tuple[list[_Server], Addresses]:
    """Raises StartError."""
    ports: list[tuple[ASGIApp, int, str]] = [(applications.api, settings.port, "PORT")]
    if applications.management and settings.management_port is not None:
        ports.append((applications.management, settings.management_port, "MANAGEMENT_PORT"))
    listeners = [bind(settings.host, port, setting) for _, port, setting in ports]
    servers = [_Server(app, listener, settings) for (app, _, _), listener in zip(ports, listeners, strict=True)]
    urls = [url_of(listener) for listener in listeners]
    return servers, Addresses(urls[0], urls[1] if len(urls) > 1 else None)


async def _serve_until(shutdown: Shutdown, service: ModelService, servers: list[_Server]) -> int:
    serving = [asyncio.create_task(server.run_until_exit()) for server in servers]
    try:
        await service.start()
        return await shutdown.wait()
    finally:
        for server in servers:
            server.leave(shutdown.hurried)
        await asyncio.gather(*serving)


async def _stop(service: ModelService) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(SERVICE_STOP):
            await service.stop()
