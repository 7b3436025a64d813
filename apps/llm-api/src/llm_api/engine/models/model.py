"""What the executor asks of a model, whichever path computes it."""

from typing import Protocol

from torch import Tensor

from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape


class Model(Protocol):
    name: str
    cache_shape: KVCacheShape

    def bind(self, cache: KVCache, max_num_seqs: int, /) -> None:
        """Before the first step: where keys and values are kept, and how many sequences a step may have.

        The cache's size depends on what the model left free.
        """
        ...

    def logits(self, batch: Batch) -> Tensor:
        """Float32 [outputs, vocabulary], for `batch.logits_rows`, with or without the padding; valid until the next call."""
        ...
