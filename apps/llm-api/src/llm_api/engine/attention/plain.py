"""Attention written out, for what torch's scaled_dot_product_attention lacks: softcapping and attention sinks."""

import torch
from torch import Tensor

from llm_api.engine.attention.backend import AttentionOptions


def plain_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, options: AttentionOptions) -> Tensor:
    """query [sequences, heads, rows, head dim], key and value [sequences, kv heads, context, head dim]; returns query's shape.

    mask: added to the scores, [rows, context] or [sequences, 1, rows, context]. The softmax is computed in float32.
    """
    sequences, heads, rows, dim = query.shape
    kv_heads = key.shape[1]
    grouped = query.reshape(sequences, kv_heads, heads // kv_heads, rows, dim)
    scores = (grouped @ key.unsqueeze(2).transpose(-1, -2)).float() * options.scale
    if options.softcap is not None:  # Gemma 2
        scores = torch.tanh(scores / options.softcap) * options.softcap
    scores = scores + (mask if mask.ndim == 2 else mask.unsqueeze(2))
    if options.sinks is None:
        weights = scores.softmax(-1)
    else:  # GPT-OSS: one more score per head, whose value is zero
        sinks = options.sinks.float().view(1, kv_heads, -1, 1, 1).expand(sequences, -1, -1, rows, 1)
        weights = torch.cat((scores, sinks), -1).softmax(-1)[..., :-1]
    return (weights.to(value.dtype) @ value.unsqueeze(2)).reshape(query.shape)
