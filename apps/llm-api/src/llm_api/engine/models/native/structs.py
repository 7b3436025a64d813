"""A decoder's weights as the structs of the C++ library."""

import torch
from torch import Tensor

from llm_api.engine.kv_cache.storage import KVCache
from llm_api.engine.models.decoder_weights import DecoderLayer, DecoderWeights, Experts, Mlp, Norm
from llm_api.engine.models.families.parts import ActivationKind
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native.bindings import Layer, LinearStruct, MlpStruct, ModelStruct, NormStruct
from llm_api.engine.models.native.layout import DTYPES, PackedLinear
from llm_api.engine.models.rope import RotaryEmbedding

ACTIVATIONS = {
    ActivationKind.SILU: 0,
    ActivationKind.GELU: 1,
    ActivationKind.GELU_TANH: 2,
    ActivationKind.CLAMPED_SWIGLU: 3,
}  # llm_step.h

NativeWeights = DecoderWeights[PackedLinear, PackedLinear]


class ModelStructs:
    """`model` points to the weights, which this object keeps alive."""

    def __init__(self, weights: NativeWeights, config: ModelConfig, dtype: torch.dtype) -> None:
        self._weights = weights
        self._layers = (Layer * config.num_layers)(*(_layer(layer, weights.ropes) for layer in weights.layers))
        self.model = _model(weights, config, dtype)
        self.model.layers = self._layers

    def use_cache(self, cache: KVCache) -> None:
        self.model.block_size = cache.block_size
        self.model.blocks = cache.num_blocks
        for index, layer in enumerate(self._layers):
            layer.cache = cache.layer(index).data_ptr()


def _model(weights: NativeWeights, config: ModelConfig, dtype: torch.dtype) -> ModelStruct:
    parts, activation = weights.parts, weights.parts.activation
    feed_forwards = [layer.feed_forward for layer in weights.layers]
    softcaps = {layer.attention.options.softcap or 0.0 for layer in weights.layers}
    return ModelStruct(
        dtype=DTYPES[dtype],
        num_layers=config.num_layers,
        hidden=config.hidden_size,
        heads=config.num_heads,
        kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        vocabulary=config.vocab_size,
        positions=min(len(rope.cos) for rope in weights.ropes),
        activation=ACTIVATIONS[activation.kind],
        is_gated=activation.is_gated,
        normalizes_experts=any(isinstance(part, Experts) and part.is_normalized for part in feed_forwards),
        eps=parts.eps,
        embedding_scale=weights.embedding_scale,
        residual_scale=parts.residual_scale,
        attention_softcap=max(softcaps),
        logits_softcap=parts.logits_softcap or 0.0,
        swiglu_alpha=activation.alpha,
        swiglu_limit=activation.limit,
        embedding=weights.embedding.data_ptr(),
        norm=_norm(weights.norm),
        head=weights.head.struct,
    )


def _layer(layer: DecoderLayer[PackedLinear], ropes: list[RotaryEmbedding]) -> Layer:
    attention, part = layer.attention, layer.feed_forward
    rope = None if attention.rope is None else ropes[attention.rope]
    mlps, router, top_k = ([part], LinearStruct(), 0) if isinstance(part, Mlp) else (part.experts, part.router.struct, part.top_k)
    return Layer(
        attention_norm=_norm(layer.attention_norms.before),
        attention_output_norm=_norm(layer.attention_norms.after),
        qkv=attention.qkv.struct,
        query_norm=_head_norm(attention.query_norm),
        key_norm=_head_norm(attention.key_norm),
        output=attention.output.struct,
        cos=None if rope is None else rope.cos.data_ptr(),
        sin=None if rope is None else rope.sin.data_ptr(),
        sinks=None if attention.options.sinks is None else attention.options.sinks.data_ptr(),
        mlp_norm=_norm(layer.feed_forward_norms.before),
        mlp_output_norm=_norm(layer.feed_forward_norms.after),
        mlps=(MlpStruct * len(mlps))(*(MlpStruct(mlp.up.struct, mlp.down.struct) for mlp in mlps)),
        router=router,
        experts=len(mlps),
        top_k=top_k,
        scale=attention.options.scale,
        window=attention.options.sliding_window or 0,
    )


def _norm(norm: Norm | None) -> NormStruct:
    if norm is None:
        return NormStruct()
    return NormStruct(norm.weight.data_ptr(), None if norm.bias is None else norm.bias.data_ptr(), norm.weight.numel())


def _head_norm(weight: Tensor | None) -> NormStruct:
    return NormStruct() if weight is None else NormStruct(weight.data_ptr(), None, weight.numel())
