"""What the API process and the engine process say to each other: typed, msgpack on the wire, no torch.

A message is framed by its length (4 bytes, big endian). The engine answers each step with one `StepOutput`.
"""

from typing import Literal

import msgspec

EngineFinishReason = Literal["stop", "length", "error"]
EnginePhase = Literal["loading", "warming", "ready", "failed"]


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one request's tokens are chosen. Ranges are checked at the API; the defaults change nothing."""

    max_tokens: int
    temperature: float = 1.0  # 0 is greedy
    top_p: float = 1.0
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = {}
    seed: int | None = None
    logprobs: int | None = None  # None: off; k: the chosen token's and the k most likely ones'
    prompt_logprobs: int | None = None  # the same for each prompt token but the first
    ignore_eos: bool = False


class AddRequest(msgspec.Struct, frozen=True, kw_only=True, tag="add"):
    """Starts `n` sequences on one prompt. The prompt is not empty and fits the context with at least one token to spare."""

    request_id: str
    prompt_token_ids: list[int]
    sampling: SamplingParams
    n: int = 1


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Ends a request, or with `index` one of its sequences, within one step. Unknown ids are ignored; nothing is answered."""

    request_id: str
    index: int | None = None


class StopEngine(msgspec.Struct, frozen=True, tag="stop"):
    """The engine process ends."""


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Asks for a Pong between two steps: an engine that answers is not stuck, busy or idle."""


ToEngine = AddRequest | CancelRequest | Ping | StopEngine


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """Natural logarithms of the model's own distribution, before temperature and penalties."""

    logprob: float
    top: list[tuple[int, float]]  # most likely first: (token id, logprob)


class SequenceOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one step made for one sequence. After a `finish_reason` nothing more comes for this sequence.

    The token that ended a sequence (end of text) is included in `token_ids`; it has no text of its own.
    """

    request_id: str
    index: int
    token_ids: list[int]
    logprobs: list[TokenLogprobs] | None = None  # as long as token_ids
    prompt_logprobs: list[TokenLogprobs | None] | None = None  # once, with the first token; as long as the prompt
    cached_tokens: int = 0  # prompt tokens that the prefix cache held
    finish_reason: EngineFinishReason | None = None
    error: str | None = None  # with finish_reason "error": what to tell the client


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """Gauges at the end of a step, and counters since the engine started."""

    steps: int
    running: int  # sequences
    waiting: int  # sequences
    kv_cache_usage: float  # 0 to 1
    preemptions: int
    prefix_cache_queries: int  # tokens looked up
    prefix_cache_hits: int  # tokens found
    step_tokens: int  # tokens that this step computed
    step_seconds: float


class StepOutput(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    outputs: list[SequenceOutput]
    stats: EngineStats


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the loaded model is and what it can take."""

    max_model_len: int
    max_num_seqs: int
    vocab_size: int
    device: str
    dtype: str
    runner: str
    kv_cache_tokens: int
    load_seconds: float


class EngineState(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    phase: EnginePhase
    info: EngineInfo | None = None  # with "ready"
    error: str | None = None  # with "failed": one line


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    pass


FromEngine = StepOutput | EngineState | Pong


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's share of the settings, passed to its process at its start. None: fit the machine."""

    model_path: str  # a folder with config.json and safetensors
    device: str = "auto"
    dtype: str = "auto"
    runner: str = "auto"
    quantization: str = "none"
    max_num_seqs: int | None = None
    max_num_batched_tokens: int | None = None
    step_time_target: float = 0  # seconds; 0: none
    max_model_len: int | None = None
    kv_cache_memory: int | None = None  # bytes
    block_size: int | None = None
    enable_prefix_caching: bool = True
    num_threads: int | None = None
    allow_remote_code: bool = False
    log_level: str = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
