"""Checks that hold for every event stream of the API."""

import json
from typing import Any

from pydantic import BaseModel, ValidationError

from llm_api.protocol.chat_answer import ChatCompletionChunk
from llm_api.protocol.completions import Completion
from llm_api.protocol.errors import ErrorResponse

DONE = "[DONE]"
LAST = {"/v1/responses": {"response.completed", "response.incomplete", "error"}, "/v1/messages": {"message_stop", "error"}}
CHUNKS: dict[str, type[BaseModel]] = {"/v1/chat/completions": ChatCompletionChunk, "/v1/completions": Completion}


def check_stream(path: str, content: bytes, include_usage: bool) -> None:
    """Raises AssertionError unless every event is a chunk, except the last one, which is [DONE] or an error."""
    if path in LAST:
        _check_named(content, LAST[path])
        return
    events = _events(content)
    assert events, "the stream has no event"
    *before, last = events
    chunks = [_chunk(CHUNKS[path], event) for event in before]
    if last != DONE:
        _read(ErrorResponse, last, "the last event is neither [DONE] nor an error")
    elif include_usage:
        assert chunks and chunks[-1].get("usage") and not chunks[-1]["choices"], "no usage in the last chunk, although requested"
    assert include_usage or not any("usage" in chunk for chunk in chunks), "usage, although not requested"


def _check_named(content: bytes, last: set[str]) -> None:
    """Every event has the name of its type; the last one ends the answer."""
    blocks = [block for block in content.decode().removesuffix("\n\n").split("\n\n") if not block.startswith(":")]
    names = []
    for block in blocks:
        name, data = block.split("\n")
        names.append(name.removeprefix("event: "))
        assert json.loads(data.removeprefix("data: "))["type"] == names[-1], f"not an event with the name of its type: {block[:100]!r}"
    assert names and names[-1] in last, f"the last event is {names[-1:]}"
    assert not last.intersection(names[:-1]), "events after the last one"


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
