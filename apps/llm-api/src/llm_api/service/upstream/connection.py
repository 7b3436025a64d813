"""HTTP to the engine. aiohttp, because a streamed chunk costs it a third of the CPU time that httpx needs (make bench-upstream)."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from pydantic_core import from_json, to_json

from llm_api.protocol.errors import EngineFailed, Unavailable
from llm_api.service.upstream.errors import answered_error, broken_off, event_error, unreadable
from llm_api.service.upstream.events import InvalidEvents, events
from llm_api.telemetry.context import current_request

UNREACHABLE = (aiohttp.ClientConnectorError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
TRIES = 2
PROBE_TIMEOUT = 5.0  # seconds for a question about the engine's state


@dataclass(frozen=True, slots=True)
class Target:
    """Timeouts are in seconds; `read_timeout` is between two pieces of an answer."""

    url: str
    api_key_file: Path | None
    connect_timeout: float
    read_timeout: float


class UpstreamConnection:
    def __init__(self, target: Target, on_progress: Callable[[], None]) -> None:
        """`on_progress` is called whenever a piece of an answer arrives."""
        self._target = target
        self._on_progress = on_progress
        self._session: aiohttp.ClientSession | None = None

    def open(self, idle_timeout: float) -> None:
        """Idle connections are kept for less than `idle_timeout` seconds: an engine that closes one just then would lose a request."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._target.connect_timeout, sock_read=self._target.read_timeout)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=max(idle_timeout - 1, 0.5))
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=True)

    async def close(self) -> None:
        if self._session:
            await self._session.close()
            self._session = None

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body. Raises OSError or TimeoutError if the engine does not answer in time."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT)
        try:
            async with self._open_session.get(self._target.url + path, headers=self._headers(), timeout=timeout) as response:
                return response.status, await response.read()
        except (aiohttp.ClientError, Unavailable) as error:
            raise OSError(str(error)) from error

    async def whole(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON of a whole answer. Raises ApiError."""
        async with self._answer(path, body) as response:
            return from_json(await response.read())

    @asynccontextmanager
    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[AsyncGenerator[Any]]:
        """The events of an answer. Leaving the block closes the connection, which ends the generation. Raises ApiError."""
        async with self._answer(path, body) as response:
            yield self._checked(events(self._blocks(response)))

    async def _checked(self, data: AsyncGenerator[Any]) -> AsyncGenerator[Any]:
        async for event in data:
            if error := event_error(event):
                raise error
            yield event

    async def _blocks(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        async for block in response.content.iter_any():
            self._on_progress()
            yield block

    @asynccontextmanager
    async def _answer(self, path: str, body: dict[str, Any]) -> AsyncIterator[aiohttp.ClientResponse]:
        response = await self._send(path, to_json(body))
        finished = False
        try:
            if response.status >= 400:
                raise answered_error(response.status, await response.read())
            self._on_progress()
            yield response
            finished = True
        except (aiohttp.ClientError, ConnectionError) as error:
            raise broken_off() from error
        except TimeoutError as error:
            raise EngineFailed(f"The engine sent nothing for {self._target.read_timeout:g} seconds. Send the request again.") from error
        except (InvalidEvents, ValueError) as error:
            raise unreadable() from error
        finally:
            if finished:
                response.release()
            else:
                response.close()

    async def _send(self, path: str, body: bytes) -> aiohttp.ClientResponse:
        """Tries again once, on a new connection, if the engine closed this one before the first byte of its answer."""
        headers = self._headers() | {"content-type": "application/json"}
        for left in reversed(range(TRIES)):
            try:
                return await self._open_session.post(self._target.url + path, data=body, headers=headers)
            except UNREACHABLE as error:
                if not left:
                    raise Unavailable("The engine cannot be reached; try again.") from error
            except TimeoutError as error:
                raise Unavailable("The engine does not answer; try again.") from error
            except aiohttp.ClientError as error:
                raise unreadable() from error
        raise AssertionError

    @property
    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise Unavailable("The engine is not connected yet; try again.")
        return self._session

    def _headers(self) -> dict[str, str]:
        """The file is read for each request, because secrets are replaced while the server runs. It is small and in the page cache."""
        request_id = current_request().request_id
        headers = {"x-request-id": request_id} if request_id else {}
        if self._target.api_key_file is None:
            return headers
        try:
            key = self._target.api_key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            structlog.stdlib.get_logger("llm_api.service.upstream").error("UPSTREAM_API_KEY_FILE cannot be read", reason=str(error))
            raise Unavailable("The engine cannot be reached; try again.") from error
        return headers | {"authorization": f"Bearer {key}"}
