"""Checks that hold for every event stream of the API."""

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from llm_api.protocol.chat_answer import ChatCompletionChunk
from llm_api.protocol.completions import Completion
from llm_api.protocol.errors import ErrorResponse

DONE = "[DONE]"
CHUNKS: dict[str, type[BaseModel]] = {"/v1/chat/completions": ChatCompletionChunk, "/v1/completions": Completion}


def check_stream(path: str, content: bytes, include_usage: bool) -> None:
    """Raises AssertionError unless every event is a chunk, except the last one, which is [DONE] or an error."""
    events = _events(content)
    assert events, "the stream has no event"
    *before, last = events
    chunks = [_chunk(CHUNKS[path], event) for event in before]
    if last != DONE:
        _read(ErrorResponse, last, "the last event is neither [DONE] nor an error")
    elif include_usage:
        assert chunks and chunks[-1].get("usage") and not chunks[-1]["choices"], "no usage in the last chunk, although requested"
    assert include_usage or not any("usage" in chunk for chunk in chunks), "usage, although not requested"


def _events(content: bytes) -> list[str]:
    text = content.decode()
    assert text.endswith("\n\n"), f"the stream ends within an event: {text[-100:]!r}"
    blocks = [block for block in text.removesuffix("\n\n").split("\n\n") if not block.startswith(":")]
    for block in blocks:
        assert block.startswith("data: ") and "\n" not in block, f"not an event of one data line: {block[:100]!r}"
    return [block.removeprefix("data: ") for block in blocks]


def _chunk(kind: type[BaseModel], event: str) -> dict[str, Any]:
    assert event != DONE, "[DONE] before the last event"
    chunk = _read(kind, event, "an event is not a chunk")
    assert "error" not in chunk, "an error event before the last event"
    return chunk


def _read(kind: type[BaseModel], event: str, otherwise: str) -> dict[str, Any]:
    try:
        kind.model_validate_json(event, strict=True)
    except ValidationError as error:
        raise AssertionError(f"{otherwise}: {event[:200]!r}: {error}") from None
    content: dict[str, Any] = json.loads(event)
    return content
