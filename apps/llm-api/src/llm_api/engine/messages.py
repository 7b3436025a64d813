"""Messages between the API process and the engine process, and their framing. Imports no torch.

A frame on the socket is the length of the message (4 bytes, big endian) and the message in msgpack. The engine sends one
`StepOutput` per step.
"""

from typing import Literal

import msgspec

LENGTH_BYTES = 4

EngineFinishReason = Literal["stop", "length", "error"]
EnginePhase = Literal["loading", "warming", "ready", "failed"]


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a request's tokens are sampled. The API process checks the ranges; the defaults leave the distribution unchanged."""

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
    logprobs: int | None = None  # None: off; k: those of the sampled token and of the k most likely tokens
    prompt_logprobs: int | None = None  # the same for each prompt token except the first
    allowed_token_ids: list[int] = []  # empty: all
    bad_words: list[list[int]] = []  # sequences of tokens that the completion does not have
    min_tokens: int = 0  # before these, no token ends the sequence
    stop_token_ids: list[int] = []  # end the sequence, as the end of text does
    ignore_eos: bool = False
    grammar: str | None = None  # in llguidance's Lark syntax; its end ends the sequence, whatever ignore_eos and min_tokens say


class AddRequest(msgspec.Struct, frozen=True, kw_only=True, tag="add"):
    """Starts `n` sequences on one prompt. The prompt is not empty and leaves room for at least one token in the context."""

    request_id: str
    prompt_token_ids: list[int]
    sampling: SamplingParams
    n: int = 1
    priority: int = 0  # among the tenant's own requests; lower is earlier
    tenant: str = ""  # tenants get equal shares; an opaque name


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    """Ends a request, or with `index` one of its sequences, within one step. Unknown ids are ignored. There is no reply."""

    request_id: str
    index: int | None = None


class StopEngine(msgspec.Struct, frozen=True, tag="stop"):
    """Makes the engine process exit."""


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Requests a Pong between two steps. An engine that answers is not stuck, whether it is busy or idle."""


ToEngine = AddRequest | CancelRequest | Ping | StopEngine


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """Natural logarithms of the model's distribution, before temperature and penalties."""

    logprob: float
    top: list[tuple[int, float]]  # most likely first: (token id, logprob)
    rank: int = 0  # 1: no token is more likely; 0: not computed


class SequenceOutput(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of one step for one sequence. The output with a `finish_reason` is the sequence's last.

    `token_ids` includes the token that ended a sequence with the reason "stop".
    """

    request_id: str
    index: int
    token_ids: list[int]
    logprobs: list[TokenLogprobs] | None = None  # as long as token_ids
    prompt_logprobs: list[TokenLogprobs | None] | None = None  # with the first token only; as long as the prompt
    cached_tokens: int = 0  # prompt tokens found in the prefix cache
    finish_reason: EngineFinishReason | None = None
    error: str | None = None  # with finish_reason "error": the message for the client
    is_request_at_fault: bool = False  # with finish_reason "error": the same request fails again


class EngineStats(msgspec.Struct, frozen=True, kw_only=True):
    """Gauges at the end of a step, and counters since the engine started."""

    steps: int
    running: int  # sequences
    waiting: int  # sequences
    kv_cache_usage: float  # 0 to 1
    preemptions: int
    prefix_cache_queries: int  # tokens looked up
    prefix_cache_hits: int  # tokens found
    step_tokens: int  # tokens computed in this step
    step_seconds: float


class StepOutput(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    outputs: list[SequenceOutput]
    stats: EngineStats


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The loaded model and its limits."""

    max_model_len: int
    max_num_seqs: int
    vocab_size: int
    device: str
    dtype: str
    runner: str
    quantization: str
    kv_cache_tokens: int
    load_seconds: float


class EngineState(msgspec.Struct, frozen=True, kw_only=True, tag="state"):
    phase: EnginePhase
    info: EngineInfo | None = None  # with "ready"
    error: str | None = None  # with "failed": one line
    exit_code: int = 1  # with "failed": of the service


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    pass


FromEngine = StepOutput | EngineState | Pong


class EngineConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The engine's settings, sent to its process at the start. None: the engine chooses a default for the model and the machine."""

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
    vocabulary_size: int = 0  # of the tokenizer, without added tokens; the model's must be as large
    end_token_ids: tuple[int, ...] = ()  # end a text, in addition to those that the model's files name
    log_level: str = "info"
    log_format: Literal["auto", "json", "console"] = "auto"


def frame(message: msgspec.Struct) -> bytes:
    body = msgspec.msgpack.encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
