"""Embeddings by a model of its own, in a process of its own."""

import math
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from llm_api.embedding.client import EmbeddingError
from llm_api.embedding.messages import EmbeddingInfo, EmbeddingState
from llm_api.protocol.embeddings import EmbeddingsRequest
from llm_api.protocol.errors import EngineFailed, InvalidRequest, Unavailable
from llm_api.protocol.models import Model
from llm_api.service.lanes import Lanes
from llm_api.service.model_service import Embeddings, ServiceHealth
from llm_api.service.plan import check_token_ids
from llm_api.telemetry.context import current_request
from llm_api.tokenization.tokenizer import Tokenizer

FLOAT_BYTES = 4


class Embedder(Protocol):
    """`EmbeddingClient`, or a scripted one in tests."""

    state: EmbeddingState

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def wait_died(self) -> str: ...
    async def embed(self, inputs: list[list[int]]) -> list[bytes]: ...
    def seconds_since_progress(self) -> float: ...


@dataclass(frozen=True, slots=True)
class EmbeddingLimits:
    """Seconds without a message from the process, after which it counts as stuck."""

    load_timeout: float
    stall_timeout: float


class EmbeddingService:
    def __init__(self, name: str, tokenizer: Tokenizer, embedder: Embedder, limits: EmbeddingLimits) -> None:
        self._name = name
        self._tokenizer = tokenizer
        self._embedder = embedder
        self._limits = limits
        self._created = int(time.time())
        self._tokenizing = Lanes(ThreadPoolExecutor(1, thread_name_prefix="tokenizing"))

    @property
    def model(self) -> Model:
        info = self._embedder.state.info
        length = None if info is None else info.max_length
        return Model(id=self._name, root=self._name, created=self._created, owned_by="llm-api", max_model_len=length, context_length=length)

    def health(self) -> ServiceHealth:
        state, silence = self._embedder.state, self._embedder.seconds_since_progress()
        limit = self._limits.load_timeout if state.phase == "loading" else self._limits.stall_timeout
        progressing = state.phase != "failed" and silence < limit
        detail = state.error or (state.phase if progressing else f"{state.phase}, no progress for {silence:.0f} s")
        return ServiceHealth(state.phase, progressing, f"embedding model: {detail}")

    async def embed(self, request: EmbeddingsRequest) -> Embeddings:
        """Raises ApiError."""
        info = self._embedder.state.info
        if info is None:
            raise Unavailable("The embedding model is not ready. Try again shortly.")
        _check_dimensions(request.dimensions, info)
        inputs = await self._tokenizing.run(self._inputs, request, info)
        tokens = sum(map(len, inputs))
        context = current_request()
        context.prompt_tokens = tokens
        try:
            vectors = await self._embedder.embed(inputs)
        except EmbeddingError as error:
            raise EngineFailed(str(error)) from error
        context.finish_reason = "stop"
        if request.dimensions is not None and request.dimensions < info.dimensions:
            vectors = [shortened(vector, request.dimensions) for vector in vectors]
        return Embeddings(vectors, tokens)

    async def start(self) -> None:
        await self._embedder.start()

    async def wait_failed(self) -> str:
        return await self._embedder.wait_died()

    async def stop(self) -> None:
        await self._embedder.stop()
        self._tokenizing.stop()

    def _inputs(self, request: EmbeddingsRequest, info: EmbeddingInfo) -> list[list[int]]:
        """Token ids of each input. Slow for long texts."""
        items = request.items
        texts = [item for item in items if isinstance(item, str)]
        encoded = iter(self._tokenizer.encode_batch(texts, add_special_tokens=True) if texts else ())
        return [
            self._checked(next(encoded) if isinstance(item, str) else item, item, path, request.truncate_prompt_tokens, info)
            for item, path in zip(items, request.paths, strict=True)
        ]

    def _checked(self, token_ids: list[int], item: str | list[int], path: str, kept: int | None, info: EmbeddingInfo) -> list[int]:
        if not item or not token_ids:
            raise InvalidRequest(f"'{path}' is empty: send at least one token.", param=path)
        check_token_ids(token_ids, path, info.vocab_size)
        limit = info.max_length if kept in (None, -1) else min(kept or 0, info.max_length)
        if len(token_ids) <= limit:
            return token_ids
        if kept is None:
            raise InvalidRequest(
                f"'{path}' has {len(token_ids)} tokens; this embedding model takes at most {limit}."
                " Shorten it, or set truncate_prompt_tokens to -1.",
                param=path,
                code="context_length_exceeded",
            )
        end = self._tokenizer.special_ids_around[1] if isinstance(item, str) else []
        return token_ids[: limit - len(end)] + end if limit > len(end) else token_ids[:limit]


def shortened(vector: bytes, dimensions: int) -> bytes:
    """The first dimensions, of length 1."""
    values = array("f", vector[: dimensions * FLOAT_BYTES])
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return array("f", [value / length for value in values]).tobytes()


def _check_dimensions(dimensions: int | None, info: EmbeddingInfo) -> None:
    if dimensions is None or dimensions == info.dimensions:
        return
    if dimensions > info.dimensions:
        raise InvalidRequest(f"'dimensions' is {dimensions}; this embedding model has {info.dimensions}.", param="dimensions")
    if not info.can_shorten:
        raise InvalidRequest(
            f"'dimensions' cannot be set: this embedding model always has {info.dimensions}, and was not trained to be shortened.",
            param="dimensions",
        )
