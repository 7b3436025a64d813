"""Anthropic's message from the chunks of a chat completion, whole or as events."""

import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Literal

from pydantic import ConfigDict, JsonValue
from pydantic_core import from_json

from llm_api.dialects.messages.request import MessagesRequest
from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk, Delta
from llm_api.protocol.response import ResponseModel, Usage
from llm_api.service.model_service import Answer

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"]
STOP_REASONS: dict[str, StopReason] = {"length": "max_tokens", "tool_calls": "tool_use"}


class MessageUsage(ResponseModel):
    """`input_tokens` are those that were not found in the prefix cache."""

    input_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int
    output_tokens: int


class Message(ResponseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[dict[str, JsonValue]]
    stop_reason: StopReason | None
    stop_sequence: str | None = None
    usage: MessageUsage


class MessageEvent(ResponseModel):
    """An event of a stream. Its other fields depend on the type, as in Anthropic's API."""

    model_config = ConfigDict(extra="allow")

    type: str

    @classmethod
    def of(cls, kind: str, **fields: Any) -> "MessageEvent":
        return cls.model_validate({"type": kind, **fields})


class MessagesAnswer:
    """An `Answer` (llm_api.service.model_service) in another dialect."""

    def __init__(self, request: MessagesRequest, chat: Answer[ChatCompletion, ChatCompletionChunk]) -> None:
        self._request = request
        self._chat = chat

    async def infer(self) -> Message:
        completion = await self._chat.infer()
        (choice,) = completion.choices
        message, content = choice.message, list[dict[str, JsonValue]]()
        if message.reasoning_content:
            content.append({"type": "thinking", "thinking": message.reasoning_content, "signature": ""})
        if message.content:
            content.append({"type": "text", "text": message.content})
        for call in message.tool_calls or ():
            content.append({"type": "tool_use", "id": call.id, "name": call.function.name, "input": _input(call.function.arguments)})
        return Message(
            id=_new_id(),
            model=completion.model,
            content=content,
            stop_reason=_stop_reason(choice.finish_reason, choice.stop_reason, bool(message.tool_calls)),
            stop_sequence=choice.stop_reason,
            usage=_usage(completion.usage),
        )

    async def stream_infer(self) -> AsyncGenerator[MessageEvent]:
        stream, usage, finish, stop, begun = _Blocks(), Usage.of(0, 0), "stop", None, False
        async with aclosing(self._chat.stream_infer()) as chunks:
            async for chunk in chunks:
                usage = chunk.usage or usage
                if not begun:
                    begun = True
                    yield _start(chunk.model, usage)
                for choice in chunk.choices:
                    for event in stream.extend(choice.delta):
                        yield event
                    finish, stop = choice.finish_reason or finish, choice.stop_reason or stop
        for event in stream.close():
            yield event
        delta = {"stop_reason": _stop_reason(finish, stop, stream.has_tools), "stop_sequence": stop}
        yield MessageEvent.of("message_delta", delta=delta, usage=_usage(usage).model_dump())
        yield MessageEvent.of("message_stop")


class _Blocks:
    """Blocks follow one another: the next one begins when the one before has stopped."""

    def __init__(self) -> None:
        self.has_tools = False
        self._index = -1
        self._open: str | None = None

    def extend(self, delta: Delta) -> Iterator[MessageEvent]:
        if delta.reasoning_content:
            yield from self._begin("thinking", thinking="", signature="")
            yield self._delta("thinking_delta", thinking=delta.reasoning_content)
        if delta.content:
            yield from self._begin("text", text="")
            yield self._delta("text_delta", text=delta.content)
        for call in delta.tool_calls or ():
            if call.id is not None:
                self.has_tools = True
                yield from self.close()
                yield from self._begin("tool_use", id=call.id, name=call.function.name, input={})
            if call.function.arguments:
                yield self._delta("input_json_delta", partial_json=call.function.arguments)

    def close(self) -> Iterator[MessageEvent]:
        if self._open == "thinking":
            yield self._delta("signature_delta", signature="")
        if self._open is not None:
            yield MessageEvent.of("content_block_stop", index=self._index)
            self._open = None

    def _begin(self, kind: str, **fields: Any) -> Iterator[MessageEvent]:
        if self._open == kind:
            return
        yield from self.close()
        self._index, self._open = self._index + 1, kind
        yield MessageEvent.of("content_block_start", index=self._index, content_block={"type": kind, **fields})

    def _delta(self, kind: str, **fields: Any) -> MessageEvent:
        return MessageEvent.of("content_block_delta", index=self._index, delta={"type": kind, **fields})


def _start(model: str, usage: Usage) -> MessageEvent:
    message = Message(id=_new_id(), model=model, content=[], stop_reason=None, usage=_usage(usage))
    return MessageEvent.of("message_start", message=message.model_dump())


def _new_id() -> str:
    return f"msg_{uuid.uuid4().hex}"


def _input(arguments: str) -> JsonValue:
    """Arguments that max_tokens has cut are completed as far as they go."""
    parsed: JsonValue = from_json(arguments or "{}", allow_partial=True)
    return parsed


def _stop_reason(finish: str, stop_sequence: str | None, has_tools: bool) -> StopReason:
    if finish == "stop" and stop_sequence is not None:
        return "stop_sequence"
    if finish == "stop" and has_tools:  # a named function
        return "tool_use"
    return STOP_REASONS.get(finish, "end_turn")


def _usage(usage: Usage) -> MessageUsage:
    cached = usage.prompt_tokens_details.cached_tokens
    return MessageUsage(input_tokens=usage.prompt_tokens - cached, cache_read_input_tokens=cached, output_tokens=usage.completion_tokens)
