"""Families with a mixture of experts in place of an MLP. Each function declares a family's parts, as in `dense.py`."""

from typing import TYPE_CHECKING

from llm_api.engine.models.families.llama_like import gated_mlp, llama_like, sliding_by_type
from llm_api.engine.models.families.parts import Activation, ActivationKind, DecoderParts, Experts, Mlp
from llm_api.engine.models.families.sources import Linear, Mxfp4Expert, StackedExpert
from llm_api.engine.models.families.text_config import TextConfig

if TYPE_CHECKING:  # at run time this module needs no torch
    from torch import Tensor


def mixtral(config: TextConfig) -> DecoderParts:
    raw, hidden = config.raw, config.hidden_size

    def expert(at: str) -> Mlp:
        gate, down, up = (f"{at}.w{number}" for number in (1, 2, 3))
        inner = raw["intermediate_size"]
        return Mlp((Linear(gate, inner, hidden), Linear(up, inner, hidden)), Linear(down, hidden, inner))

    def experts(_config: TextConfig, at: str, _layer: int) -> Experts:
        count, moe = raw["num_local_experts"], f"{at}block_sparse_moe"
        return Experts(
            router=Linear(f"{moe}.gate", count, hidden),
            experts=tuple(expert(f"{moe}.experts.{number}") for number in range(count)),
            top_k=raw["num_experts_per_tok"],
            is_normalized=True,
        )

    return llama_like(config, window=lambda _layer: raw["sliding_window"], feed_forward=experts)


def qwen3_moe(config: TextConfig) -> DecoderParts:
    raw, bias = config.raw, bool(config.raw["attention_bias"])

    def feed_forward(config: TextConfig, at: str, layer: int) -> Mlp | Experts:
        is_dense = layer in raw["mlp_only_layers"] or (layer + 1) % raw["decoder_sparse_step"]
        return gated_mlp(config, at) if is_dense or not raw["num_local_experts"] else _qwen_experts(config, at)

    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        query_key_norm=lambda _heads: config.head_dim,
        window=lambda _layer: raw["sliding_window"] if raw["use_sliding_window"] else None,
        feed_forward=feed_forward,
    )


def _qwen_experts(config: TextConfig, at: str) -> Experts:
    raw = config.raw
    count, inner = raw["num_local_experts"], raw["moe_intermediate_size"]
    return Experts(
        router=Linear(f"{at}mlp.gate", count, config.hidden_size),
        experts=tuple(gated_mlp(config, at, size=inner, name=f"mlp.experts.{number}") for number in range(count)),
        top_k=raw["num_experts_per_tok"],
        is_normalized=raw["norm_topk_prob"],
    )


def gpt_oss(config: TextConfig) -> DecoderParts:
    raw, hidden, inner, bias = config.raw, config.hidden_size, config.raw["intermediate_size"], bool(config.raw["attention_bias"])
    count = raw["num_local_experts"]

    source = Mxfp4Expert if "quantization_config" in raw else StackedExpert

    def expert(at: str, number: int) -> Mlp:
        up = source(f"{at}.gate_up_proj", number, count, 2 * inner, hidden, _gates_first)
        return Mlp((up,), source(f"{at}.down_proj", number, count, hidden, inner, _unchanged))

    def experts(_config: TextConfig, at: str, _layer: int) -> Experts:
        return Experts(
            router=Linear(f"{at}mlp.router", count, hidden, has_bias=True),
            experts=tuple(expert(f"{at}mlp.experts", number) for number in range(count)),
            top_k=raw["num_experts_per_tok"],
            is_normalized=True,
        )

    return llama_like(
        config,
        qkv_bias=bias,
        output_bias=bias,
        has_sinks=True,
        window=sliding_by_type(config),
        activation=Activation(ActivationKind.CLAMPED_SWIGLU, alpha=raw["swiglu_alpha"], limit=raw["swiglu_limit"]),
        feed_forward=experts,
    )


def _gates_first(outputs: "Tensor") -> "Tensor":
    """Alternating gates and ups to all gates, then all ups."""
    return outputs.unflatten(0, (-1, 2)).transpose(0, 1).flatten(0, 1)


def _unchanged(outputs: "Tensor") -> "Tensor":
    return outputs
