"""RUNNER=torch: a decoder of any family of ours on torch's operators, with fused weights."""

import torch
from torch import Tensor
from torch.nn.functional import embedding, layer_norm, rms_norm, softmax

from llm_api.engine.attention.backend import StepAttention
from llm_api.engine.attention.paged import PagedAttention
from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.attention.selector import select_attention
from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.models.activations import activate
from llm_api.engine.models.cuda_graphs import DecodeGraphs, capture_decode
from llm_api.engine.models.decoder_weights import Attention, DecoderWeights, Experts, Mlp, Norm
from llm_api.engine.models.linear import Linear, OutputHead


class TorchLayout:
    """Weights in the layout of torch's operators."""

    def linear(self, weight: Tensor, bias: Tensor | None) -> Linear:
        return Linear(weight, bias)

    def gate_up(self, weight: Tensor, bias: Tensor | None) -> Linear:
        return Linear(weight, bias)

    def router(self, weight: Tensor, bias: Tensor | None) -> Linear:
        return Linear(weight, bias)

    def head(self, weight: Tensor) -> OutputHead:
        return OutputHead(weight)

    def plain(self, weight: Tensor) -> Tensor:
        return weight


class TorchDecoder:
    """The residual stream, norms and logits are float32; matrix multiplications and the cache use the model's dtype."""

    name = "torch"

    def __init__(self, weights: DecoderWeights[Linear, OutputHead], shape: KVCacheShape, num_heads: int):
        self.cache_shape = shape
        self._weights = weights
        self._parts = weights.parts
        self._num_heads = num_heads
        self.graphs: DecodeGraphs | None = None

    def bind(self, cache: KVCache, max_num_seqs: int) -> None:
        options = [layer.attention.options for layer in self._weights.layers]
        has_windows = any(option.sliding_window is not None for option in options)
        is_plain = all(option.is_plain for option in options)
        self.attention = select_attention(cache, self._num_heads, has_windows) if is_plain else SdpaAttention(cache)
        # With experts the host must know which of them were chosen, so a graph cannot be captured.
        has_experts = any(isinstance(layer.feed_forward, Experts) for layer in self._weights.layers)
        if isinstance(self.attention, PagedAttention) and not has_experts:
            max_context = min(self._max_positions(), cache.num_blocks * cache.block_size)
            self.graphs = capture_decode(self.forward, self.attention, max_num_seqs, max_context)

    def logits(self, batch: Batch) -> Tensor:
        if self.graphs is not None and self.graphs.can_run(batch):
            return self.graphs.logits(batch)
        return self.forward(batch.token_ids, batch.positions, self.attention.step(batch), batch.logits_rows)

    def forward(self, token_ids: Tensor, positions: Tensor, attention: StepAttention, logits_rows: Tensor | None = None) -> Tensor:
        """Logits of all rows, or of `logits_rows`."""
        cos_sin = [rope.at(positions) for rope in self._weights.ropes]
        stream = embedding(token_ids, self._weights.embedding).float() * self._weights.embedding_scale
        for index, layer in enumerate(self._weights.layers):
            attended = self._attend(index, layer.attention, self._input(stream, layer.attention_norms.before), cos_sin, attention)
            stream += self._added(attended, layer.attention_norms.after)
            computed = self._feed_forward(layer.feed_forward, self._input(stream, layer.feed_forward_norms.before))
            stream += self._added(computed, layer.feed_forward_norms.after)
        outputs = stream if logits_rows is None else stream[logits_rows]
        logits = self._weights.head(self._norm(outputs, self._weights.norm))
        softcap = self._parts.logits_softcap
        return logits if softcap is None else logits.div_(softcap).tanh_().mul_(softcap)

    def _attend(
        self,
        index: int,
        part: Attention[Linear],
        x: Tensor,
        cos_sin: list[tuple[Tensor, Tensor]],
        attention: StepAttention,
    ) -> Tensor:
        rows, shape = x.shape[0], self.cache_shape
        heads = part.qkv(x).view(rows, -1, shape.head_dim)
        num_rotated = self._num_heads + shape.num_kv_heads
        rotated = self._norm_heads(part, heads[:, :num_rotated])
        if part.rope is not None:
            rotated = self._weights.ropes[part.rope].rotate(rotated, cos_sin[part.rope])
        heads[:, self._num_heads : num_rotated] = rotated[:, self._num_heads :]
        # Keys and values are adjacent in the output of qkv, as in the cache.
        key_values = heads[:, self._num_heads :].view(rows, 2, shape.num_kv_heads, shape.head_dim)
        attended = attention.attend(index, rotated[:, : self._num_heads], key_values, part.options)
        return part.output(attended.reshape(rows, -1))

    def _norm_heads(self, part: Attention[Linear], heads: Tensor) -> Tensor:
        if part.query_norm is None or part.key_norm is None:
            return heads
        query, key = heads.float().split([self._num_heads, self.cache_shape.num_kv_heads], dim=1)
        return torch.cat((self._norm_parts(query, part.query_norm), self._norm_parts(key, part.key_norm)), 1).to(self.cache_shape.dtype)

    def _norm_parts(self, heads: Tensor, weight: Tensor) -> Tensor:
        """The norm of each head, or of all heads together, as `weight` is long."""
        return rms_norm(heads.reshape(len(heads), -1, len(weight)), weight.shape, weight, self._parts.eps).view(heads.shape)

    def _feed_forward(self, part: Mlp[Linear] | Experts[Linear], x: Tensor) -> Tensor:
        return self._mlp(part, x) if isinstance(part, Mlp) else self._experts(part, x)

    def _mlp(self, mlp: Mlp[Linear], x: Tensor) -> Tensor:
        return mlp.down(activate(self._parts.activation, mlp.up(x)))

    def _experts(self, part: Experts[Linear], x: Tensor) -> Tensor:
        """Float32. Each expert computes its rows at once; an expert without rows is not read."""
        scores = part.router(x).float()
        best, chosen = scores.topk(part.top_k)
        weights = softmax(best, -1) if part.is_normalized else softmax(scores, -1).gather(1, chosen)
        output = torch.zeros(x.shape, device=x.device)
        for expert in chosen.unique().tolist():
            rows, place = (chosen == expert).nonzero(as_tuple=True)
            output.index_add_(0, rows, self._mlp(part.experts[expert], x[rows]).float() * weights[rows, place, None])
        return output

    def _input(self, stream: Tensor, norm: Norm | None) -> Tensor:
        """A branch's input."""
        return (stream if norm is None else self._norm(stream, norm)).to(self.cache_shape.dtype)

    def _added(self, output: Tensor, norm: Norm | None) -> Tensor:
        """What a branch adds to the stream."""
        normed = output if norm is None else self._norm(output.float(), norm)
        return normed if self._parts.residual_scale == 1 else normed * self._parts.residual_scale

    def _norm(self, x: Tensor, norm: Norm) -> Tensor:
        if norm.bias is None:
            return rms_norm(x, norm.weight.shape, norm.weight, self._parts.eps)
        return layer_norm(x, norm.weight.shape, norm.weight, norm.bias, self._parts.eps)

    def _max_positions(self) -> int:
        return min(len(rope.cos) for rope in self._weights.ropes)
