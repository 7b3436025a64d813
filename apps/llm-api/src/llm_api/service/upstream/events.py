"""Server-sent events of an engine's answer."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from pydantic_core import from_json

MAX_LINE = 64 * 1024 * 1024  # bytes
DONE = b"[DONE]"


class InvalidEvents(Exception):
    """The engine sent something else."""


async def events(blocks: AsyncIterator[bytes]) -> AsyncGenerator[Any]:
    """The JSON of each event up to [DONE], or to the end. Comments and names of events are skipped. Raises InvalidEvents."""
    rest = b""
    async for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            data = line[5:].strip()
            if data == DONE:
                return
            yield _parsed(data)
        if len(rest) > MAX_LINE:
            raise InvalidEvents(f"an event of more than {MAX_LINE} bytes")
    if rest.startswith(b"data:") and (data := rest[5:].strip()) != DONE:
        yield _parsed(data)


def _parsed(data: bytes) -> Any:
    try:
        return from_json(data)
    except ValueError as error:
        raise InvalidEvents(f"an event that is no JSON: {error}") from error
