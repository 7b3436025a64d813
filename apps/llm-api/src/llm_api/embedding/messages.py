"""Messages between the API process and the embedding process, in the engine's frames. Imports no torch."""

from typing import Literal

import msgspec

from llm_api.engine.messages import Ping, Pong, StopEngine

EmbeddingPhase = Literal["loading", "ready", "failed"]


class EmbeddingConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Sent to the process at the start."""

    model_path: str  # a folder with config.json, safetensors, and sentence-transformers' files if it has them
    max_batched_tokens: int  # of a forward pass, padding included
    num_threads: int
    log_level: str = "info"
    log_format: Literal["auto", "json", "console"] = "auto"


class EmbedInputs(msgspec.Struct, frozen=True, kw_only=True, tag="embed"):
    """Each input is token ids, at least one and at most the model's maximum length."""

    request_id: int
    inputs: list[list[int]]


class CancelInputs(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Drops the inputs of a request that are not computed yet. Unknown ids are ignored. There is no reply."""

    request_id: int


ToEmbedding = EmbedInputs | CancelInputs | Ping | StopEngine


class Embedded(msgspec.Struct, frozen=True, kw_only=True, tag="embedded"):
    """Some of a request's embeddings: `vectors[i]` is that of the input `indexes[i]`, as little-endian float32."""

    request_id: int
    indexes: list[int]
    vectors: list[bytes]


class EmbeddingFailed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """The request's inputs are dropped. `error`: one sentence for the client."""

    request_id: int
    error: str


class EmbeddingInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The loaded model and its limits."""

    dimensions: int
    can_shorten: bool  # whether the first dimensions are an embedding, too (matryoshka)
    max_length: int  # tokens of an input
    vocab_size: int
    load_seconds: float


class EmbeddingState(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    phase: EmbeddingPhase
    info: EmbeddingInfo | None = None  # with "ready"
    error: str | None = None  # with "failed": one line
    exit_code: int = 1  # with "failed": of the service


FromEmbedding = Embedded | EmbeddingFailed | EmbeddingState | Pong
