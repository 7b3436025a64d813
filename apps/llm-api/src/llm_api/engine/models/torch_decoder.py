"""RUNNER=torch: a Llama-like decoder (Llama, SmolLM, Mistral, Qwen2, Qwen3) on torch's operators, with fused weights."""

import torch
from torch import Tensor
from torch.nn.functional import embedding, rms_norm, silu

from llm_api.engine.attention.backend import StepAttention
from llm_api.engine.attention.paged import PagedAttention
from llm_api.engine.attention.selector import select_attention
from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.models.cuda_graphs import DecodeGraphs, capture_decode
from llm_api.engine.models.decoder_weights import DecoderLayer, DecoderWeights
from llm_api.engine.models.linear import Linear, OutputHead
from llm_api.engine.models.rope import RotaryEmbedding


class TorchLayout:
    """Weights in the layout of torch's operators."""

    def linear(self, weight: Tensor, bias: Tensor | None) -> Linear:
        return Linear(weight, bias)

    def gate_up(self, weight: Tensor, bias: Tensor | None) -> Linear:
        return Linear(weight, bias)

    def head(self, weight: Tensor) -> OutputHead:
        return OutputHead(weight)

    def plain(self, weight: Tensor) -> Tensor:
        return weight


class TorchDecoder:
    """The residual stream, norms and logits are float32; matrix multiplications and the cache use the model's dtype."""

    name = "torch"

    def __init__(self, weights: DecoderWeights[Linear, OutputHead], shape: KVCacheShape, num_heads: int, eps: float, rope: RotaryEmbedding):
        self.cache_shape = shape
        self._weights = weights
        self._num_heads = num_heads
        self._eps = eps
        self._rope = rope
        self.graphs: DecodeGraphs | None = None

    def bind(self, cache: KVCache, max_num_seqs: int) -> None:
        has_windows = any(layer.attention.sliding_window is not None for layer in self._weights.layers)
        self.attention = select_attention(cache, self._num_heads, has_windows)
        if isinstance(self.attention, PagedAttention):
            max_context = min(len(self._rope.cos), cache.num_blocks * cache.block_size)
            self.graphs = capture_decode(self.forward, self.attention, max_num_seqs, max_context)

    def logits(self, batch: Batch) -> Tensor:
        if self.graphs is not None and self.graphs.can_run(batch):
            return self.graphs.logits(batch)
        return self.forward(batch.token_ids, batch.positions, self.attention.step(batch), batch.logits_rows)

    def forward(self, token_ids: Tensor, positions: Tensor, attention: StepAttention, logits_rows: Tensor | None = None) -> Tensor:
        """Logits of all rows, or of `logits_rows`."""
        cos_sin = self._rope.at(positions)
        stream = embedding(token_ids, self._weights.embedding).float()
        for index, layer in enumerate(self._weights.layers):
            stream += self._attend(index, layer, self._norm(stream, layer.input_norm), cos_sin, attention)
            stream += self._feed_forward(layer, self._norm(stream, layer.post_attention_norm))
        outputs = stream if logits_rows is None else stream[logits_rows]
        return self._weights.head(rms_norm(outputs, self._weights.norm.shape, self._weights.norm, self._eps))

    def _attend(
        self,
        index: int,
        layer: DecoderLayer[Linear],
        x: Tensor,
        cos_sin: tuple[Tensor, Tensor],
        attention: StepAttention,
    ) -> Tensor:
        rows, shape = x.shape[0], self.cache_shape
        heads = layer.qkv(x).view(rows, -1, shape.head_dim)
        num_rotated = self._num_heads + shape.num_kv_heads
        rotated = self._rope.rotate(self._norm_heads(layer, heads[:, :num_rotated]), cos_sin)
        heads[:, self._num_heads : num_rotated] = rotated[:, self._num_heads :]
        # Keys and values are adjacent in the output of qkv, as in the cache.
        key_values = heads[:, self._num_heads :].view(rows, 2, shape.num_kv_heads, shape.head_dim)
        attended = attention.attend(index, rotated[:, : self._num_heads], key_values, layer.attention)
        return layer.output(attended.reshape(rows, -1))

    def _norm_heads(self, layer: DecoderLayer[Linear], heads: Tensor) -> Tensor:
        if layer.query_norm is None or layer.key_norm is None:
            return heads
        shape, dim = self.cache_shape, [self.cache_shape.head_dim]
        query, key = heads.float().split([self._num_heads, shape.num_kv_heads], dim=1)
        query, key = rms_norm(query, dim, layer.query_norm, self._eps), rms_norm(key, dim, layer.key_norm, self._eps)
        return torch.cat((query, key), 1).to(shape.dtype)

    def _feed_forward(self, layer: DecoderLayer[Linear], x: Tensor) -> Tensor:
        gate, up = layer.gate_up(x).chunk(2, -1)
        return layer.down(silu(gate) * up)

    def _norm(self, stream: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(stream, weight.shape, weight, self._eps).to(self.cache_shape.dtype)
