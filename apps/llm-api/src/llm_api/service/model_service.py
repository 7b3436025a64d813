"""The interface between the API and the text generator: our engine, or an upstream server."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from llm_api.protocol.chat import ChatCompletionRequest
from llm_api.protocol.chat_answer import ChatCompletion, ChatCompletionChunk
from llm_api.protocol.completions import Completion, CompletionRequest
from llm_api.protocol.embeddings import EmbeddingsRequest
from llm_api.protocol.models import Model

Whole_co = TypeVar("Whole_co", covariant=True)
Chunk_co = TypeVar("Chunk_co", covariant=True)

ServicePhase = Literal["loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """Readiness depends on `phase`. Liveness depends on `progressing`, which is False once the engine has stalled.

    `engine_is_apart`: the engine is restarted by itself, so that this process lives on whatever becomes of it.
    """

    phase: ServicePhase
    progressing: bool
    detail: str
    max_num_seqs: int | None = None  # sequences decoded in one step, once known; admission derives its capacity from it
    engine_is_apart: bool = False


@dataclass(frozen=True, slots=True)
class Embeddings:
    """`vectors`: of each input, as little-endian float32."""

    vectors: list[bytes]
    prompt_tokens: int


class Answer(Protocol[Whole_co, Chunk_co]):
    """The answer to one request. Consume it once, by one of the two methods; no work starts before that.

    Both raise `ApiError` (llm_api.protocol.errors) for errors that the client should see. Cancelling the call, or
    closing the stream, ends the generation within one step.
    """

    async def infer(self) -> Whole_co:
        """Returns the whole answer."""
        ...

    def stream_infer(self) -> AsyncGenerator[Chunk_co]:
        """Yields the answer in chunks; the usage chunk comes last if the request has include_usage."""
        ...


class ModelService(Protocol):
    """The API's only view of a model. The API has validated the form of requests; the service checks them against the model."""

    def models(self) -> list[Model]: ...

    def embedding_model(self) -> Model | None:
        """None: there is none."""
        ...

    def health(self) -> ServiceHealth: ...

    def chat(self, request: ChatCompletionRequest) -> Answer[ChatCompletion, ChatCompletionChunk]: ...

    def complete(self, request: CompletionRequest) -> Answer[Completion, Completion]: ...

    async def embed(self, request: EmbeddingsRequest) -> Embeddings:
        """Raises ApiError. Only called if there is an embedding model."""
        ...

    async def tokenize_chat(self, request: ChatCompletionRequest) -> list[int]:
        """The tokens of the conversation's prompt. Raises ApiError."""
        ...

    async def tokenize(self, text: str, add_special_tokens: bool) -> list[int]: ...

    async def detokenize(self, token_ids: list[int]) -> str:
        """The text with its special tokens. Raises ApiError for ids that the model does not have."""
        ...

    async def token_names(self, token_ids: list[int]) -> list[str]:
        """The tokens as the vocabulary writes them."""
        ...

    async def start(self) -> None:
        """Begins loading and returns at once."""
        ...

    async def wait_failed(self) -> str:
        """Waits until the service fails, and returns the reason."""
        ...

    async def stop(self) -> None: ...
