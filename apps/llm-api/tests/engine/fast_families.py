"""Tiny models of every family and every part that the engine's own decoders compute."""

from typing import Any

from engine.checkpoints import LLAMA3_ROPE, SHAPE, UNEVEN
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    Glm4Config,
    GlmConfig,
    GptOssConfig,
    GraniteConfig,
    LlamaConfig,
    MixtralConfig,
    Olmo2Config,
    Olmo3Config,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
    Starcoder2Config,
)

PARTIAL_ROPE: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
LONG_ROPE: dict[str, Any] = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1 + i / 8 for i in range(8)],
    "long_factor": [4.0] * 8,
}
YARN: dict[str, Any] = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
SLIDING = ["sliding_attention", "full_attention", "sliding_attention"]
BY_TYPE: dict[str, Any] = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0},
    "full_attention": {"rope_type": "linear", "rope_theta": 100000.0, "factor": 2.0},
}
GEMMA: dict[str, Any] = SHAPE | {"head_dim": 32, "query_pre_attn_scalar": 24, "sliding_window": 12, "layer_types": SLIDING}
MULTIPLIERS: dict[str, Any] = {
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.4,
    "attention_multiplier": 0.2,
    "logits_scaling": 1.7,
}


def dense_families() -> dict[str, PretrainedConfig]:
    return {
        "gemma": GemmaConfig(**SHAPE, head_dim=32),
        "gemma2": Gemma2Config(**GEMMA, attn_logit_softcapping=5.0, final_logit_softcapping=4.0),
        "gemma3": Gemma3TextConfig(**GEMMA, rope_parameters=BY_TYPE),
        "gemma3-softcapped": Gemma3TextConfig(**GEMMA, final_logit_softcapping=4.0),
        "glm": GlmConfig(**SHAPE, head_dim=16),
        "glm4": Glm4Config(**(SHAPE | {"vocab_size": 301, "hidden_size": 66, "intermediate_size": 90}), head_dim=48),
        "granite": GraniteConfig(**SHAPE, **MULTIPLIERS),
        "llama-yarn": LlamaConfig(**SHAPE, rope_parameters=YARN | {"beta_fast": 20, "mscale": 0.8, "mscale_all_dim": 0.5}),
        "olmo2": Olmo2Config(**SHAPE),
        "olmo3": Olmo3Config(**SHAPE, sliding_window=12, layer_types=SLIDING, rope_parameters=BY_TYPE | {"full_attention": YARN}),
        "phi3-partial": Phi3Config(**SHAPE, rope_parameters=PARTIAL_ROPE, sliding_window=20),
        "phi3-short-longrope": Phi3Config(**SHAPE, rope_parameters=LONG_ROPE, original_max_position_embeddings=192),
        "qwen2-windows": Qwen2Config(**SHAPE, use_sliding_window=True, sliding_window=12, max_window_layers=1),
        "qwen3-yarn": Qwen3Config(**SHAPE, head_dim=16, rope_parameters=YARN | {"truncate": False}),
        "smollm3": SmolLM3Config(**SHAPE, no_rope_layer_interval=2, rope_parameters=LLAMA3_ROPE),
        "starcoder2": Starcoder2Config(**(SHAPE | UNEVEN), sliding_window=12, hidden_act="gelu"),
        "starcoder2-tanh": Starcoder2Config(**SHAPE),
    }


EXPERTS: dict[str, Any] = SHAPE | {"num_experts_per_tok": 3, "max_position_embeddings": 256}


def mixtures() -> dict[str, PretrainedConfig]:
    routed: dict[str, Any] = EXPERTS | {"num_experts": 9, "moe_intermediate_size": 48, "head_dim": 16}
    return {
        "gpt-oss": GptOssConfig(**EXPERTS, num_local_experts=5, head_dim=16, sliding_window=12, swiglu_limit=1.0),
        "mixtral": MixtralConfig(**EXPERTS, num_local_experts=5, sliding_window=12),
        "qwen3-moe": Qwen3MoeConfig(**routed, norm_topk_prob=True),
        "qwen3-moe-some-dense": Qwen3MoeConfig(
            **routed, norm_topk_prob=False, mlp_only_layers=[1], use_sliding_window=True, sliding_window=9
        ),
    }


def fast_families() -> dict[str, PretrainedConfig]:
    return dense_families() | mixtures()
