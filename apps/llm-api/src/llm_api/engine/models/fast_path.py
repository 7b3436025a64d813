"""Which models our own decoders compute; transformers computes the others."""

from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.rope import rope_parameters

FAST_MODEL_TYPES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
FAST_ROPE_TYPES = frozenset({"default", "linear", "llama3"})


def has_fast_path(config: ModelConfig) -> bool:
    raw = config.raw
    return (
        config.model_type in FAST_MODEL_TYPES
        and raw.get("hidden_act", "silu") == "silu"
        and rope_parameters(raw)["rope_type"] in FAST_ROPE_TYPES
        and "quantization_config" not in raw
    )


def takes_fast_path(config: ModelConfig, runner: str) -> bool:
    return runner != "general" and has_fast_path(config)
