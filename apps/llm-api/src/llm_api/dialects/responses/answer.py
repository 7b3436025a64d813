"""A response from the chunks of a chat completion, whole or as events. Both forms are built by the same steps."""

import time
import uuid
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

from llm_api.dialects.responses.request import ResponsesRequest
from llm_api.dialects.responses.response import (
    IncompleteDetails,
    OutputFunctionCall,
    OutputItem,
    OutputMessage,
    OutputReasoning,
    OutputText,
    ReasoningText,
    Response,
    ResponseEvent,
    ResponseUsage,
)
from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk, ChoiceLogprobs, Delta
from llm_api.protocol.errors import ApiError
from llm_api.protocol.response import Usage
from llm_api.service.model_service import Answer


class ResponsesAnswer:
    """An `Answer` (llm_api.service.model_service) in another dialect."""

    def __init__(self, request: ResponsesRequest, chat: Answer[ChatCompletion, ChatCompletionChunk]) -> None:
        self._request = request
        self._chat = chat

    async def infer(self) -> Response:
        completion = await self._chat.infer()
        response = _GrowingResponse(self._request, completion.model)
        message = completion.choices[0].message
        calls = [
            {"index": index, "id": call.id, "function": {"name": call.function.name, "arguments": call.function.arguments}}
            for index, call in enumerate(message.tool_calls or ())
        ]
        delta = Delta.model_validate(
            {"reasoning_content": message.reasoning_content, "content": message.content or None, "tool_calls": calls or None}
        )
        for _ in response.extend(delta, completion.choices[0].logprobs):
            pass
        for _ in response.finish(completion.choices[0].finish_reason):
            pass
        return response.snapshot(completion.usage)

    async def stream_infer(self) -> AsyncGenerator[ResponseEvent]:
        """Nothing is sent before the first chunk, so that an early error gets its HTTP status."""
        response, usage = _GrowingResponse(self._request, self._request.model), None
        async with aclosing(self._chat.stream_infer()) as chunks:
            chunk = await anext(chunks, None)
            for kind in ("response.created", "response.in_progress"):
                yield response.event(kind, response=response.snapshot())
            try:
                while chunk is not None:
                    usage = chunk.usage or usage
                    for event in response.take(chunk):
                        yield event
                    chunk = await anext(chunks, None)
            except ApiError as error:
                yield response.event("error", code=error.code, message=error.message, param=error.param)
                return
        yield response.event(f"response.{response.status}", response=response.snapshot(usage))


class _GrowingResponse:
    """Items follow one another: the next one begins when the one before is done."""

    def __init__(self, request: ResponsesRequest, model: str) -> None:
        self.status = "in_progress"
        self._request = request
        self._model = model
        self._id = f"resp_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._output: list[OutputItem] = []
        self._open: OutputItem | None = None
        self._events = 0

    def event(self, kind: str, **fields: Any) -> ResponseEvent:
        self._events += 1
        return ResponseEvent.of(kind, self._events - 1, **fields)

    def take(self, chunk: ChatCompletionChunk) -> Iterator[ResponseEvent]:
        for choice in chunk.choices:
            yield from self.extend(choice.delta, choice.logprobs)
            if choice.finish_reason is not None:
                yield from self.finish(choice.finish_reason)

    def extend(self, delta: Delta, logprobs: ChoiceLogprobs | None) -> Iterator[ResponseEvent]:
        if delta.reasoning_content:
            yield from self._reason(delta.reasoning_content)
        if delta.content:
            yield from self._write(delta.content, [token.model_dump() for token in (logprobs and logprobs.content) or ()])
        for call in delta.tool_calls or ():
            if call.id is not None:
                yield from self._close()
                item = OutputFunctionCall(id=f"fc_{uuid.uuid4().hex}", call_id=call.id, name=call.function.name or "")
                yield from self._begin(item)
            if call.function.arguments and isinstance(self._open, OutputFunctionCall):
                self._open.arguments += call.function.arguments
                yield self._item_event("response.function_call_arguments.delta", delta=call.function.arguments)

    def finish(self, reason: str) -> Iterator[ResponseEvent]:
        if not self._output:  # an answer without a token is an empty text
            yield from self._begin_message()
        cut = reason == "length"
        yield from self._close("incomplete" if cut else "completed")
        self.status = "incomplete" if cut else "completed"

    def snapshot(self, usage: Usage | None = None) -> Response:
        request, text = self._request, self._request.text
        form = text.format.model_dump(by_alias=True) if text and text.format else {"type": "text"}
        effort = request.reasoning.effort if request.reasoning else None
        return Response.model_validate(
            {
                "id": self._id,
                "created_at": self._created,
                "status": self.status,
                "incomplete_details": IncompleteDetails(reason="max_output_tokens") if self.status == "incomplete" else None,
                "instructions": request.instructions,
                "max_output_tokens": request.max_output_tokens,
                "metadata": request.metadata or {},
                "model": self._model,
                "output": [item.model_copy(deep=True) for item in self._output],
                "parallel_tool_calls": request.parallel_tool_calls is not False,
                "reasoning": {"effort": effort, "summary": None},
                "temperature": 1 if request.temperature is None else request.temperature,
                "text": {"format": form},
                "tool_choice": "auto" if request.tool_choice is None else _dumped(request.tool_choice),
                "tools": [tool.model_dump() for tool in request.tools or ()],
                "top_logprobs": request.top_logprobs or 0,
                "top_p": 1 if request.top_p is None else request.top_p,
                "usage": _usage(usage) if usage else None,
                "user": request.user,
            }
        )

    def _reason(self, text: str) -> Iterator[ResponseEvent]:
        if not isinstance(self._open, OutputReasoning):
            yield from self._close()
            yield from self._begin(OutputReasoning(id=f"rs_{uuid.uuid4().hex}"))
            yield from self._begin_part(ReasoningText())
        assert isinstance(self._open, OutputReasoning)  # noqa: S101
        self._open.content[0].text += text
        yield self._item_event("response.reasoning_text.delta", content_index=0, delta=text)

    def _write(self, text: str, logprobs: list[Any]) -> Iterator[ResponseEvent]:
        if not isinstance(self._open, OutputMessage):
            yield from self._close()
            yield from self._begin_message()
        assert isinstance(self._open, OutputMessage)  # noqa: S101
        self._open.content[0].text += text
        self._open.content[0].logprobs += logprobs
        yield self._item_event("response.output_text.delta", content_index=0, delta=text, logprobs=logprobs)

    def _begin_message(self) -> Iterator[ResponseEvent]:
        yield from self._begin(OutputMessage(id=f"msg_{uuid.uuid4().hex}"))
        yield from self._begin_part(OutputText())

    def _begin(self, item: OutputItem) -> Iterator[ResponseEvent]:
        self._open = item
        self._output.append(item)
        yield self.event("response.output_item.added", output_index=len(self._output) - 1, item=item.model_copy(deep=True))

    def _begin_part(self, part: OutputText | ReasoningText) -> Iterator[ResponseEvent]:
        assert not isinstance(self._open, OutputFunctionCall | None)  # noqa: S101
        self._open.content = [part]  # type: ignore[assignment]
        yield self._item_event("response.content_part.added", content_index=0, part=part.model_copy(deep=True))

    def _close(self, status: str = "completed") -> Iterator[ResponseEvent]:
        item = self._open
        if item is None:
            return
        match item:
            case OutputMessage(content=[part]):
                yield self._item_event("response.output_text.done", content_index=0, text=part.text, logprobs=part.logprobs)
                yield self._item_event("response.content_part.done", content_index=0, part=part)
            case OutputReasoning(content=[thought]):
                yield self._item_event("response.reasoning_text.done", content_index=0, text=thought.text)
                yield self._item_event("response.content_part.done", content_index=0, part=thought)
            case OutputFunctionCall():
                yield self._item_event("response.function_call_arguments.done", name=item.name, arguments=item.arguments)
        item.status = status  # type: ignore[assignment]
        yield self.event("response.output_item.done", output_index=len(self._output) - 1, item=item.model_copy(deep=True))
        self._open = None

    def _item_event(self, kind: str, **fields: Any) -> ResponseEvent:
        assert self._open is not None  # noqa: S101
        return self.event(kind, item_id=self._open.id, output_index=len(self._output) - 1, **fields)


def _dumped(choice: Any) -> Any:
    return choice if isinstance(choice, str) else choice.model_dump()


def _usage(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details={"cached_tokens": usage.prompt_tokens_details.cached_tokens},
        output_tokens=usage.completion_tokens,
        output_tokens_details={"reasoning_tokens": usage.completion_tokens_details.reasoning_tokens},
        total_tokens=usage.total_tokens,
    )
