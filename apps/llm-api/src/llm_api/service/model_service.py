"""The seam between the API and whatever generates text: our engine, or another server behind it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol, overload

from llm_api.protocol.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionRequest
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.protocol.models import Model

Phase = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """`phase` decides readiness; `progressing` is False when work is due and none gets done, and decides liveness."""

    phase: Phase
    progressing: bool
    detail: str
    max_num_seqs: int | None = None  # sequences decoded in one step, once known: admission counts from it


class ModelService(Protocol):
    """What api/ knows of a model. Requests are validated in shape; what depends on the model is checked here.

    Both raise `ApiError` (llm_api.protocol.errors) for what the client should be told. A cancelled call or a closed
    stream ends the generation within a step.
    """

    def models(self) -> list[Model]: ...

    def health(self) -> ServiceHealth: ...

    @overload
    async def infer(self, request: ChatCompletionRequest) -> ChatCompletion: ...
    @overload
    async def infer(self, request: CompletionRequest) -> Completion: ...

    @overload
    def stream_infer(self, request: ChatCompletionRequest) -> AsyncIterator[ChatCompletionChunk]: ...
    @overload
    def stream_infer(self, request: CompletionRequest) -> AsyncIterator[Completion]: ...

    async def start(self) -> None:
        """Begins loading and returns at once."""
        ...

    async def wait_failed(self) -> str:
        """Returns the reason once the service can no longer serve; else waits forever."""
        ...

    async def stop(self) -> None: ...
