"""An answer from our engine, whole or in chunks. Both forms are built from the same deltas."""

import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Generic, Literal, Protocol, TypedDict, TypeVar

from llm_api import __version__
from llm_api.chat.output.parts import OutputPart
from llm_api.engine.messages import EngineInfo, TokenLogprobs
from llm_api.protocol.chat_answer import ChatCompletionChunk
from llm_api.protocol.completions import Completion
from llm_api.protocol.request import GenerationRequest
from llm_api.protocol.response import Usage
from llm_api.service.choice import ChoiceDelta, ChoiceFinishReason, ScoredToken
from llm_api.service.request_sequences import RequestSequences

Chunk = ChatCompletionChunk | Completion
Whole_co = TypeVar("Whole_co", covariant=True)
Chunk_co = TypeVar("Chunk_co", bound=Chunk, covariant=True)


class Envelope(TypedDict):
    """The fields that an answer and each of its chunks share."""

    id: str
    created: int
    model: str
    system_fingerprint: str


def new_envelope(prefix: Literal["chatcmpl", "cmpl"], model: str, info: EngineInfo) -> Envelope:
    return Envelope(id=f"{prefix}-{uuid.uuid4().hex}", created=int(time.time()), model=model, system_fingerprint=_fingerprint(model, info))


def _fingerprint(model: str, info: EngineInfo) -> str:
    """Identifies everything that decides which text a seed gives."""
    deciding = f"{model}/{info.dtype}/{info.quantization}/{info.device}/{info.runner}/{__version__}"
    return "fp_" + sha256(deciding.encode()).hexdigest()[:10]


@dataclass(slots=True)
class WholeChoice:
    """A choice put together from the deltas that a stream would send one by one."""

    index: int
    texts: list[str] = field(default_factory=list)
    parts: list[OutputPart] = field(default_factory=list)
    tokens: list[ScoredToken] = field(default_factory=list)
    finish_reason: ChoiceFinishReason = "stop"
    token_ids: list[int] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprobs | None] = field(default_factory=list)
    stop_reason: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def add(self, delta: ChoiceDelta) -> None:
        self.texts.append(delta.text)
        self.parts += delta.parts
        self.tokens += delta.tokens
        self.token_ids += delta.token_ids
        self.prompt_logprobs += delta.prompt_logprobs
        if delta.finish_reason is not None:
            self.finish_reason, self.stop_reason = delta.finish_reason, delta.stop_reason


class Assembly(Protocol[Whole_co, Chunk_co]):
    """How one endpoint shapes its answers."""

    def chunks(self, delta: ChoiceDelta) -> Iterator[Chunk_co]: ...

    def usage_chunk(self, usage: Usage) -> Chunk_co: ...

    def whole(self, choices: Sequence[WholeChoice], usage: Usage) -> Whole_co: ...


class EngineAnswer(Generic[Whole_co, Chunk_co]):
    """An `Answer` (llm_api.service.model_service). `begin` plans the request; it is called when the answer is consumed."""

    def __init__(
        self, begin: Callable[[], Awaitable[tuple[RequestSequences, Assembly[Whole_co, Chunk_co]]]], request: GenerationRequest
    ) -> None:
        self._begin = begin
        self._request = request

    async def infer(self) -> Whole_co:
        sequences, assembly = await self._begin()
        choices = [WholeChoice(index) for index in range(sequences.plan.sequences)]
        async with sequences.running() as steps:
            async for deltas in steps:
                for delta in deltas:
                    choices[delta.index].add(delta)
        return assembly.whole(choices, sequences.usage)

    async def stream_infer(self) -> AsyncGenerator[Chunk_co]:
        sequences, assembly = await self._begin()
        async with sequences.running() as steps:
            async for deltas in steps:
                for delta in deltas:
                    for chunk in assembly.chunks(delta):
                        if self._request.include_usage_in_chunks:
                            chunk.usage = sequences.usage
                        yield chunk
        if self._request.include_usage:
            yield assembly.usage_chunk(sequences.usage)
