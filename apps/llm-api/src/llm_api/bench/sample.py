"""Reads one streamed response: when its text arrived, how many tokens it had, or why it failed."""

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llm_api.bench.exchange import Exchange

Event = tuple[float, dict[str, Any] | None]  # arrival; None is [DONE]


@dataclass(frozen=True, slots=True)
class Sample:
    """Seconds, and tokens as the server counts them. Without usage from the server, one token per piece of text."""

    sent: float
    ended: float
    first_token: float | None = None
    gaps: tuple[float, ...] = ()  # between successive pieces of text
    prompt_tokens: int | None = None
    completion_tokens: int = 0
    failure: str | None = None


def read_sample(exchange: Exchange) -> Sample:
    try:
        return _read(exchange)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return _failed(exchange, f"not a stream of chat completion chunks: {error}")


def _read(exchange: Exchange) -> Sample:
    if exchange.failure:
        return _failed(exchange, exchange.failure)
    if exchange.status != 200:
        return _failed(exchange, f"HTTP {exchange.status}: {exchange.body[:200].decode(errors='replace')}")
    events = _events(exchange)
    chunks = [(arrived, chunk) for arrived, chunk in events if chunk is not None]
    for _, chunk in chunks:
        if "error" in chunk:
            return _failed(exchange, f"error event: {chunk['error']}")
    if not any(choice.get("finish_reason") for _, chunk in chunks for choice in chunk["choices"]):
        return _failed(exchange, "the stream ended without a finish_reason")
    times = [arrived for arrived, chunk in chunks if _has_text(chunk)]
    usage: dict[str, int] = next((chunk["usage"] for _, chunk in reversed(chunks) if chunk.get("usage")), {})
    return Sample(
        sent=exchange.sent,
        ended=exchange.ended,
        first_token=times[0] - exchange.sent if times else None,
        gaps=tuple(later - earlier for earlier, later in pairwise(times)),
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens", len(times)),
    )


def _events(exchange: Exchange) -> list[Event]:
    """An event arrives with the piece that ends it. [DONE] is optional: not every server sends it."""
    events: list[Event] = []
    rest = b""
    for arrived, piece in exchange.pieces:
        *complete, rest = (rest + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        for line in b"\n".join(complete).split(b"\n"):
            if line.startswith(b"data:"):
                data = line.removeprefix(b"data:").strip()
                events.append((arrived, None if data == b"[DONE]" else json.loads(data)))
    return events


def _has_text(chunk: dict[str, Any]) -> bool:
    return any(choice.get("delta", {}).get("content") for choice in chunk["choices"])


def _failed(exchange: Exchange, failure: str) -> Sample:
    return Sample(sent=exchange.sent, ended=exchange.ended, failure=failure)
