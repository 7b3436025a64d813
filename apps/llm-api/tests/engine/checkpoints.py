"""Writes tiny random models of several families with transformers."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    DiffLlamaConfig,
    DogeConfig,
    FalconH1Config,
    Gemma2Config,
    GPT2Config,
    Lfm2Config,
    Llama4TextConfig,
    LlamaConfig,
    MistralConfig,
    OlmoConfig,
    Phi3Config,
    PhimoeConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen3Config,
    StableLmConfig,
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
PARTIAL_ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
LLAMA3_ROPE: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
LONG_ROPE: dict[str, Any] = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [4.0] * 8,
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
        "phi3": Phi3Config(**SHAPE),
        "olmo": OlmoConfig(**SHAPE),
        "phimoe-sliding": PhimoeConfig(**SHAPE, sliding_window=12, num_local_experts=4, num_experts_per_tok=2),
        "qwen2-moe-sliding": Qwen2MoeConfig(
            **SHAPE,
            sliding_window=12,
            use_sliding_window=True,
            max_window_layers=0,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=32,
        ),
        "stablelm": StableLmConfig(**SHAPE, rope_parameters=PARTIAL_ROPE),
        "gemma2-softcapped": Gemma2Config(**SHAPE, head_dim=12, attn_logit_softcapping=50.0),
        "lfm2-hybrid": Lfm2Config(**SHAPE, layer_types=["conv", "full_attention", "conv"]),
        "phi3-longrope": Phi3Config(**SHAPE, rope_parameters=LONG_ROPE, original_max_position_embeddings=64),
        "falcon-h1-hybrid": FalconH1Config(**SHAPE, mamba_d_ssm=48, mamba_n_heads=4, mamba_d_head=12, mamba_d_state=8),
        "diffllama": DiffLlamaConfig(**SHAPE),
        "doge": DogeConfig(**SHAPE, keep_window_size=16),
        "llama4-chunked": Llama4TextConfig(
            **SHAPE, head_dim=12, attention_chunk_size=32, num_local_experts=2, num_experts_per_tok=1, intermediate_size_mlp=96
        ),
        "gpt2": GPT2Config(vocab_size=300, n_positions=256, n_embd=48, n_layer=3, n_head=4, bos_token_id=1, eos_token_id=2),
    }


NATIVE = ("llama", "llama-uneven", "llama-untied", "llama-biased", "llama-3", "llama-linear", "mistral-sliding", "qwen2", "qwen3")
FAST = (*NATIVE, "llama-narrow")
GENERAL = ("phi3", "olmo", "stablelm", "gpt2", "phimoe-sliding", "qwen2-moe-sliding")


def save(name: str, folder: Path, max_shard_size: str = "1GB") -> Path:
    """Writes the model `name` of `configurations()`."""
    return save_configured(configurations()[name], name, folder, max_shard_size)


def save_configured(config: PretrainedConfig, name: str, folder: Path, max_shard_size: str = "1GB") -> Path:
    """Writes a model with weights seeded by its name."""
    torch.manual_seed(sum(name.encode()))
    model = AutoModelForCausalLM.from_config(config)
    randomize(model)
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return folder


def randomize(model: torch.nn.Module) -> None:
    """Large weights keep the logits apart."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.15)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
