"""Chooses the path that computes a model."""

from pathlib import Path

import torch

from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.models.checkpoint import open_checkpoint, read_decoder
from llm_api.engine.models.decoder import Decoder
from llm_api.engine.models.model import Model
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.rope import RotaryEmbedding, rope_parameters

FAST_MODEL_TYPES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
DEFAULT_RMS_NORM_EPS = 1e-6  # transformers', for configurations that leave it out
FAST_ROPE_TYPES = frozenset({"default", "linear", "llama3"})


def has_fast_path(config: ModelConfig) -> bool:
    raw = config.raw
    return (
        config.model_type in FAST_MODEL_TYPES
        and raw.get("hidden_act", "silu") == "silu"
        and rope_parameters(raw)["rope_type"] in FAST_ROPE_TYPES
        and "quantization_config" not in raw
    )


def load_model(
    model_path: Path,
    config: ModelConfig,
    runner: str,
    max_model_len: int,
    dtype: torch.dtype,
    device: torch.device,
    allow_remote_code: bool,
) -> Model:
    """`runner`: auto takes the fast path where there is one; general never does. Raises EngineError."""
    if runner == "auto" and has_fast_path(config):
        return _load_decoder(model_path, config, max_model_len, dtype, device)
    # transformers takes seconds to import: not where the fast path serves.
    from llm_api.engine.models.general import load_general

    return load_general(model_path, config, dtype, device, allow_remote_code, max_model_len)


def _load_decoder(model_path: Path, config: ModelConfig, max_model_len: int, dtype: torch.dtype, device: torch.device) -> Decoder:
    with open_checkpoint(model_path, dtype, device) as checkpoint:
        weights = read_decoder(checkpoint, config)
    rope = RotaryEmbedding(rope_parameters(config.raw), config.head_dim, max_model_len, device)
    shape = KVCacheShape(config.num_layers, config.num_kv_heads, config.head_dim, dtype)
    return Decoder(weights, shape, config.num_heads, config.raw.get("rms_norm_eps", DEFAULT_RMS_NORM_EPS), rope)
