"""Tiny configurations of any architecture that transformers knows."""

from typing import Any

from transformers import CONFIG_MAPPING, PretrainedConfig

# Sizes under the names that architectures use for them. Those that an architecture has are set.
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "sliding_window": 12,
    # multi-head latent attention
    "q_lora_rank": 24,
    "kv_lora_rank": 16,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 12,
    # mixtures of experts
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_topk": 2,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def tiny_config(model_type: str, values: dict[str, Any]) -> PretrainedConfig:
    """The class's configuration with SIZES where it has a value for them by default, and `values`."""
    kind = CONFIG_MAPPING[model_type]
    defaults = kind()
    sizes = {name: size for name, size in SIZES.items() if name.endswith("token_id") or _is_set(defaults, name)}
    if "qk_rope_head_dim" in sizes:  # head_dim is another name for it then
        sizes.pop("head_dim", None)
    named = {kind.attribute_map.get(name, name): size for name, size in sizes.items()}
    return kind(**(named | values))


def _is_set(config: PretrainedConfig, name: str) -> bool:
    if isinstance(getattr(type(config), name, None), property):  # derived from others
        return False
    try:
        return getattr(config, name, None) is not None
    except RuntimeError:  # it differs between the layers
        return False
