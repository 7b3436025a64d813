"""Writes tiny random models of several families with transformers."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    MistralConfig,
    OlmoConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

SHAPE: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# Sizes that are not multiples of a panel, and a group of three heads, which is not a multiple of a register.
UNEVEN: dict[str, Any] = {"hidden_size": 90, "intermediate_size": 90, "num_attention_heads": 6, "head_dim": 48, "vocab_size": 301}
LLAMA3_ROPE: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def configurations() -> dict[str, PretrainedConfig]:
    return {
        "llama": LlamaConfig(**SHAPE, tie_word_embeddings=True),
        "llama-untied": LlamaConfig(**SHAPE, tie_word_embeddings=False),
        "llama-biased": LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True),
        "llama-3": LlamaConfig(**SHAPE, rope_parameters=LLAMA3_ROPE),
        "llama-linear": LlamaConfig(**SHAPE, rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}),
        "mistral-sliding": MistralConfig(**SHAPE, sliding_window=12),
        "qwen2": Qwen2Config(**SHAPE),
        "qwen3": Qwen3Config(**SHAPE, head_dim=16),
        "mistral-8": MistralConfig(**(SHAPE | {"num_attention_heads": 16, "num_key_value_heads": 8}), head_dim=16),  # the class's default
        "qwen3-128": Qwen3Config(**SHAPE, head_dim=128),  # the class's default
        "llama-uneven": LlamaConfig(**(SHAPE | UNEVEN)),
        "llama-narrow": LlamaConfig(**SHAPE, head_dim=12),
        "olmo": OlmoConfig(**SHAPE),
    }


NATIVE = ("llama", "llama-uneven", "llama-untied", "llama-biased", "llama-3", "llama-linear", "mistral-sliding", "qwen2", "qwen3")
FAST = (*NATIVE, "llama-narrow")


def save(name: str, folder: Path, max_shard_size: str = "1GB") -> Path:
    """Writes the model `name`, with weights seeded by its name."""
    return save_random(configurations()[name], folder, sum(name.encode()), max_shard_size=max_shard_size)


def save_random(config: PretrainedConfig, folder: Path, seed: int, **options: Any) -> Path:
    """`options`: those of save_pretrained."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    randomize(model)
    model.save_pretrained(folder, **options)
    return folder


def randomize(model: torch.nn.Module) -> None:
    """Large weights keep the logits apart."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.15)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
