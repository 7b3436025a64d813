"""An answer from an upstream engine, whole or in chunks."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from llm_api.protocol.chat_answer import ChatCompletionChunk
from llm_api.protocol.completions import Completion
from llm_api.protocol.errors import ApiError, EngineFailed
from llm_api.protocol.request import GenerationRequest
from llm_api.protocol.response import Usage
from llm_api.service.request_record import RequestRecord
from llm_api.service.upstream.connection import UpstreamConnection
from llm_api.service.upstream.errors import broken_off, unreadable
from llm_api.service.upstream.kind import Kind

Chunk = ChatCompletionChunk | Completion
Whole_co = TypeVar("Whole_co", covariant=True)
Chunk_co = TypeVar("Chunk_co", bound=Chunk, covariant=True)


class Shape(Protocol[Whole_co, Chunk_co]):
    """How one endpoint shapes its answers."""

    path: str
    prompt: str  # the request's field with the prompt

    def chunks(self, choice: dict[str, Any], prompt_token_ids: list[int] | None = None) -> Iterator[Chunk_co]: ...
    def usage_chunk(self, usage: Usage) -> Chunk_co: ...
    def whole(self, data: dict[str, Any], usage: Usage) -> Whole_co: ...


@dataclass(slots=True)
class Call(Generic[Whole_co, Chunk_co]):
    """A request, ready to be sent."""

    kind: Kind
    body: dict[str, Any]
    shape: Shape[Whole_co, Chunk_co]
    record: RequestRecord
    sequences: int


class UpstreamAnswer(Generic[Whole_co, Chunk_co]):
    """An `Answer` (llm_api.service.model_service). `begin` is called when the answer is consumed."""

    def __init__(
        self,
        begin: Callable[[], Awaitable[Call[Whole_co, Chunk_co]]],
        connection: UpstreamConnection,
        open_request: Callable[[], AbstractContextManager[None]],
        request: GenerationRequest,
    ) -> None:
        """`open_request`: held while the engine works on the request."""
        self._begin = begin
        self._connection = connection
        self._open_request = open_request
        self._request = request

    async def infer(self) -> Whole_co:
        call = await self._begin()
        with call.record, self._open_request(), _refusals(call):
            data = await self._connection.whole(call.shape.path, call.body)
            if not isinstance(data, dict) or not data.get("choices"):
                raise EngineFailed("The engine sent an answer without choices. Send the request again.")
            usage = _usage(data.get("usage")) or Usage.of(0, 0)
            call.record.counted(usage)
            for choice in data["choices"]:
                _restore_length(choice, call, usage)
            whole = call.shape.whole(data, usage)
            for choice in data["choices"]:
                call.record.choice_finished("length" if choice.get("finish_reason") == "length" else "stop")
        return whole

    async def stream_infer(self) -> AsyncGenerator[Chunk_co]:
        call = await self._begin()
        counts = _Counts(call)
        with call.record, self._open_request(), _refusals(call):
            async with self._connection.stream(call.shape.path, call.body) as events, aclosing(events):
                async for data in events:
                    for choice in counts.choices_of(data):
                        for chunk in call.shape.chunks(choice, data.get("prompt_token_ids")):
                            chunk.usage = counts.usage if self._request.include_usage_in_chunks else None
                            yield chunk
            if counts.unfinished:
                raise broken_off()
            for choice in counts.finish():
                for chunk in call.shape.chunks(choice):
                    yield chunk
        if self._request.include_usage:
            yield call.shape.usage_chunk(counts.usage)


@contextmanager
def _refusals(call: Call[Any, Any]) -> Iterator[None]:
    """A prompt that is too long is named as this API does. A refused request does not count as a failed one."""
    try:
        yield
    except ApiError as error:
        if error.code == "context_length_exceeded":
            error.param = call.shape.prompt
        if error.status < 500 or error.status == 503:
            call.record.discard()
        raise


class _Counts:
    """The tokens and the ends of a stream."""

    def __init__(self, call: Call[Any, Any]) -> None:
        self._call = call
        self._ends: list[dict[str, Any]] = []
        self._reported: Usage | None = None
        self._pieces = 0
        self.unfinished = call.sequences

    @property
    def usage(self) -> Usage:
        """As the engine reports; until then a token for each piece of text."""
        return self._reported or Usage.of(0, self._pieces)

    def choices_of(self, data: Any) -> Iterator[dict[str, Any]]:
        if not isinstance(data, dict):
            raise unreadable()
        if usage := _usage(data.get("usage")):
            self._reported = usage
            self._call.record.counted(usage)
        for choice in data.get("choices") or ():
            if _has_text(choice):
                self._pieces += 1
                self._call.record.token_arrived(choice.get("index") or 0)
            if choice.get("finish_reason"):
                self.unfinished -= 1
                self._ends.append({**choice, "delta": {}, "text": ""})
                if self._call.kind.hides_length:
                    choice["finish_reason"] = None
            yield choice

    def finish(self) -> list[dict[str, Any]]:
        """Records the request, whose usage comes last. Returns the ends of choices that only the usage could tell."""
        self._call.record.counted(self.usage)
        for choice in self._ends:
            _restore_length(choice, self._call, self.usage)
            self._call.record.choice_finished("length" if choice["finish_reason"] == "length" else "stop")
        return self._ends if self._call.kind.hides_length else []


def _has_text(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta") or choice
    return bool(
        delta.get("content") or delta.get("text") or delta.get("tool_calls") or delta.get("reasoning_content") or delta.get("reasoning")
    )


def _restore_length(choice: dict[str, Any], call: Call[Any, Any], usage: Usage) -> None:
    limit = call.body.get("max_tokens")
    if call.kind.hides_length and limit is not None and usage.completion_tokens >= limit * call.sequences:
        choice["finish_reason"] = "length"


def _usage(found: dict[str, Any] | None) -> Usage | None:
    if not found:
        return None
    cached = (found.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    details = found.get("completion_tokens_details") or {}
    reasoning = details.get("reasoning_tokens") or found.get("reasoning_tokens") or 0
    return Usage.of(found.get("prompt_tokens") or 0, found.get("completion_tokens") or 0, cached, reasoning)
