"""Families with one MLP per layer. Each function declares a family's parts as its class in transformers computes them."""

from typing import Any

from llm_api.engine.models.families.llama_like import (
    NormNames,
    NotSupportedError,
    activation_of,
    fused_gated_mlp,
    gated_mlp,
    llama_like,
    plain_rope,
    rope_of_type,
    sliding_by_type,
)
from llm_api.engine.models.families.parts import DecoderParts, Mlp, NormKind
from llm_api.engine.models.families.sources import Linear
from llm_api.engine.models.families.text_config import TextConfig

POST_NORMS = NormNames(None, "post_attention_layernorm", None, "post_feedforward_layernorm")
GEMMA_NORMS = NormNames("input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm")
GLM_NORMS = NormNames("input_layernorm", "post_self_attn_layernorm", "post_attention_layernorm", "post_mlp_layernorm")


def _plain_mlp(config: TextConfig, at: str, _layer: int) -> Mlp:
    return gated_mlp(config, at)


def llama(config: TextConfig) -> DecoderParts:
    """Llama, SmolLM."""
    bias = bool(config.raw.get("attention_bias"))
    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        feed_forward=lambda config, at, _layer: gated_mlp(config, at, has_bias=bool(config.raw.get("mlp_bias"))),
    )


def mistral(config: TextConfig) -> DecoderParts:
    return llama_like(config, window=lambda _layer: config.raw["sliding_window"], feed_forward=_plain_mlp)


def qwen2(config: TextConfig) -> DecoderParts:
    return llama_like(config, qkv_bias=True, window=lambda layer: _qwen_window(config, layer), feed_forward=_plain_mlp)


def qwen3(config: TextConfig) -> DecoderParts:
    bias = bool(config.raw.get("attention_bias"))
    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        query_key_norm=lambda _heads: config.head_dim,
        window=lambda layer: _qwen_window(config, layer),
        feed_forward=_plain_mlp,
    )


def _qwen_window(config: TextConfig, layer: int) -> int | None:
    if not config.raw.get("use_sliding_window", False):
        return None
    types = config.raw.get("layer_types")
    slides = types[layer] == "sliding_attention" if types else layer >= config.raw["max_window_layers"]
    return config.raw["sliding_window"] if slides else None


def smollm3(config: TextConfig) -> DecoderParts:
    raw, bias = config.raw, bool(config.raw.get("attention_bias"))
    slides = sliding_by_type(config)
    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        rope=lambda layer: 0 if raw["no_rope_layers"][layer] else None,
        window=lambda layer: slides(layer) if raw["use_sliding_window"] else None,
        feed_forward=lambda config, at, _layer: gated_mlp(config, at, has_bias=bool(raw.get("mlp_bias"))),
    )


def granite(config: TextConfig) -> DecoderParts:
    raw, bias = config.raw, bool(config.raw.get("attention_bias"))
    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        scale=raw["attention_multiplier"],
        embedding_scale=raw["embedding_multiplier"],
        residual_scale=raw["residual_multiplier"],
        logits_scale=1 / raw["logits_scaling"],
        feed_forward=lambda config, at, _layer: gated_mlp(config, at, has_bias=bool(raw.get("mlp_bias"))),
    )


def phi3(config: TextConfig) -> DecoderParts:
    """Phi-3, Phi-4."""
    return llama_like(config, has_fused_qkv=True, window=lambda _layer: config.raw["sliding_window"], feed_forward=fused_gated_mlp)


def olmo2(config: TextConfig) -> DecoderParts:
    bias = bool(config.raw.get("attention_bias"))
    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        norm_names=POST_NORMS,
        query_key_norm=lambda heads: heads * config.head_dim,
        feed_forward=_plain_mlp,
    )


def olmo3(config: TextConfig) -> DecoderParts:
    types, bias = config.raw["layer_types"], bool(config.raw.get("attention_bias"))
    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        norm_names=POST_NORMS,
        query_key_norm=lambda heads: heads * config.head_dim,
        ropes=tuple(rope_of_type(config, kind) for kind in ("full_attention", "sliding_attention")),
        rope=lambda layer: int(types[layer] == "sliding_attention"),
        window=sliding_by_type(config),
        feed_forward=_plain_mlp,
    )


def glm4(config: TextConfig) -> DecoderParts:
    return llama_like(
        config,
        qkv_bias=bool(config.raw["attention_bias"]),
        norm_names=GLM_NORMS,
        ropes=(plain_rope(config, is_interleaved=True),),
        feed_forward=fused_gated_mlp,
    )


def glm(config: TextConfig) -> DecoderParts:
    return llama_like(
        config,
        qkv_bias=bool(config.raw["attention_bias"]),
        ropes=(plain_rope(config, is_interleaved=True),),
        feed_forward=fused_gated_mlp,
    )


def starcoder2(config: TextConfig) -> DecoderParts:
    bias = bool(config.raw["use_bias"])

    def mlp(config: TextConfig, at: str, _layer: int) -> Mlp:
        hidden, inner = config.hidden_size, config.raw["intermediate_size"]
        return Mlp((Linear(f"{at}mlp.c_fc", inner, hidden, bias),), Linear(f"{at}mlp.c_proj", hidden, inner, bias))

    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        norm_kind=NormKind.LAYER,
        eps=config.raw["norm_epsilon"],
        window=lambda _layer: config.raw["sliding_window"],
        activation=activation_of(config.raw["hidden_act"], is_gated=False),
        feed_forward=mlp,
    )


def gemma(config: TextConfig) -> DecoderParts:
    return _gemma_like(config)


def gemma2(config: TextConfig) -> DecoderParts:
    return _gemma_with_windows(config, softcap=config.raw["attn_logit_softcapping"])


def gemma3(config: TextConfig) -> DecoderParts:
    types = config.raw["layer_types"]
    return _gemma_with_windows(
        config,
        query_key_norm=lambda _heads: config.head_dim,
        ropes=tuple(rope_of_type(config, kind) for kind in ("full_attention", "sliding_attention")),
        rope=lambda layer: int(types[layer] == "sliding_attention"),
    )


def _gemma_with_windows(config: TextConfig, **parts: Any) -> DecoderParts:
    raw = config.raw
    return _gemma_like(
        config,
        norm_names=GEMMA_NORMS,
        window=sliding_by_type(config),
        scale=raw["query_pre_attn_scalar"] ** -0.5,
        activation=activation_of(raw["hidden_activation"]),
        logits_softcap=raw["final_logit_softcapping"],
        **parts,
    )


def _gemma_like(config: TextConfig, **parts: Any) -> DecoderParts:
    """`parts`: arguments of `llama_like`."""
    _refuse_bidirectional(config)
    bias = bool(config.raw["attention_bias"])
    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        norm_kind=NormKind.RMS_PLUS_ONE,
        embedding_scale=config.hidden_size**0.5,
        is_embedding_scale_rounded=True,
        feed_forward=_plain_mlp,
        **parts,
    )


def _refuse_bidirectional(config: TextConfig) -> None:
    if config.raw.get("use_bidirectional_attention"):
        raise NotSupportedError("bidirectional attention")
