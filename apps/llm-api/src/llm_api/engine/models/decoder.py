"""The fast path: a minimal Llama-like decoder (Llama, SmolLM, Mistral, Qwen2, Qwen3) on fused weights."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding, rms_norm, silu

from llm_api.engine.attention.backend import AttentionBackend, AttentionOptions
from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.models.linear import Linear, OutputHead
from llm_api.engine.models.rope import RotaryEmbedding


@dataclass(frozen=True, slots=True)
class DecoderLayer:
    input_norm: Tensor  # norms are float32 [hidden]
    qkv: Linear
    query_norm: Tensor | None  # [head dim], Qwen3's
    key_norm: Tensor | None
    output: Linear
    post_attention_norm: Tensor
    gate_up: Linear
    down: Linear
    attention: AttentionOptions


@dataclass(frozen=True, slots=True)
class DecoderWeights:
    embedding: Tensor  # [vocabulary, hidden]
    layers: list[DecoderLayer]
    norm: Tensor
    head: OutputHead


class Decoder:
    """The residual stream, norms and logits are float32; matrix products and the cache are in the model's dtype."""

    name = "fast"

    def __init__(self, weights: DecoderWeights, shape: KVCacheShape, num_heads: int, eps: float, rope: RotaryEmbedding):
        self.cache_shape = shape
        self._weights = weights
        self._num_heads = num_heads
        self._eps = eps
        self._rope = rope

    def logits(self, batch: Batch, attention: AttentionBackend) -> Tensor:
        cos_sin = self._rope.at(batch.positions)
        stream = embedding(batch.token_ids, self._weights.embedding).float()
        for index, layer in enumerate(self._weights.layers):
            stream += self._attend(index, layer, self._norm(stream, layer.input_norm), cos_sin, batch, attention)
            stream += self._feed_forward(layer, self._norm(stream, layer.post_attention_norm))
        outputs = stream[batch.logits_rows]
        return self._weights.head(rms_norm(outputs, self._weights.norm.shape, self._weights.norm, self._eps))

    def _attend(
        self,
        index: int,
        layer: DecoderLayer,
        x: Tensor,
        cos_sin: tuple[Tensor, Tensor],
        batch: Batch,
        attention: AttentionBackend,
    ) -> Tensor:
        rows, shape = x.shape[0], self.cache_shape
        heads = layer.qkv(x).view(rows, -1, shape.head_dim)
        num_rotated = self._num_heads + shape.num_kv_heads
        rotated = self._rope.rotate(self._norm_heads(layer, heads[:, :num_rotated]), cos_sin)
        heads[:, self._num_heads : num_rotated] = rotated[:, self._num_heads :]
        # Keys and values lie side by side in qkv's output, as they do in the cache.
        key_values = heads[:, self._num_heads :].view(rows, 2, shape.num_kv_heads, shape.head_dim)
        attended = attention.attend(index, rotated[:, : self._num_heads], key_values, batch, layer.attention)
        return layer.output(attended.reshape(rows, -1))

    def _norm_heads(self, layer: DecoderLayer, heads: Tensor) -> Tensor:
        if layer.query_norm is None or layer.key_norm is None:
            return heads
        shape, dim = self.cache_shape, [self.cache_shape.head_dim]
        query, key = heads.float().split([self._num_heads, shape.num_kv_heads], dim=1)
        query, key = rms_norm(query, dim, layer.query_norm, self._eps), rms_norm(key, dim, layer.key_norm, self._eps)
        return torch.cat((query, key), 1).to(shape.dtype)

    def _feed_forward(self, layer: DecoderLayer, x: Tensor) -> Tensor:
        gate, up = layer.gate_up(x).chunk(2, -1)
        return layer.down(silu(gate) * up)

    def _norm(self, stream: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(stream, weight.shape, weight, self._eps).to(self.cache_shape.dtype)
