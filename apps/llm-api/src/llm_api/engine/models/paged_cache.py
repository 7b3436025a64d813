"""A transformers cache whose keys and values are in the engine's KV cache: for models that compute one sequence at a time."""

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from llm_api.engine.batch import SequenceRows
from llm_api.engine.kv_cache.storage import KVCache


class Context(Protocol):
    """Where the keys and values of one sequence are."""

    past: int  # tokens whose keys and values are stored before the step

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Stores the step's keys and values, and returns those of the whole context: [1, kv heads, tokens, head dim] each."""
        ...


class PagedContext:
    """The context of a sequence in the blocks of a KVCache."""

    def __init__(self, cache: KVCache, sequence: SequenceRows, slots: Tensor) -> None:
        """`slots`: those of the sequence's rows in this step."""
        self.past = sequence.context_len - (sequence.end - sequence.start)
        self._cache = cache
        self._slots = slots
        blocks = sequence.block_ids[: -(-sequence.context_len // cache.block_size)]
        self._blocks = torch.from_numpy(np.array(blocks, np.int64)).to(cache.device, non_blocking=True)
        self._length = sequence.context_len

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Layers may have fewer heads and narrower ones than the cache, and values narrower than keys."""
        shape = self._cache.shape
        key_values = torch.zeros(key.shape[2], 2, shape.num_kv_heads, shape.head_dim, dtype=shape.dtype, device=key.device)
        for place, new in enumerate((key, value)):
            key_values[:, place, : new.shape[1], : new.shape[3]] = new.squeeze(0).transpose(0, 1)
        self._cache.write(layer, key_values, self._slots)
        stored = self._cache.layer(layer).index_select(0, self._blocks).flatten(0, 1)[: self._length].to(key.dtype)
        return _cut(stored[:, 0], key), _cut(stored[:, 1], value)


def _cut(stored: Tensor, like: Tensor) -> Tensor:
    """[tokens, widest heads, widest dim] to [1, heads, tokens, dim]."""
    return stored[:, : like.shape[1], : like.shape[3]].transpose(0, 1).unsqueeze(0)


class PagedCache(Cache):
    """The cache of one sequence in one step.

    Every layer keeps the whole context, also those with a sliding window: their masks have the whole context's length then.
    """

    def __init__(self, context: Context, num_layers: int) -> None:
        super().__init__(layers=[PagedLayer(context, layer) for layer in range(num_layers)])


class PagedLayer(CacheLayerMixin):
    is_sliding = False

    def __init__(self, context: Context, layer: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.is_initialized = True
        self._context = context
        self._layer = layer
        self._length = context.past

    def lazy_initialization(self, _key_states: Tensor, _value_states: Tensor) -> None:
        """The KV cache is there before the first step."""

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_options: Any) -> tuple[Tensor, Tensor]:
        self._length += key_states.shape[2]
        return self._context.extend(self._layer, key_states, value_states)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Tokens that a mask covers, and the position of the first one."""
        return self._length + query_length, 0

    def get_seq_length(self) -> int:
        return self._length

    def get_max_length(self) -> int:
        """-1: no limit."""
        return -1
