"""What the runner asks of a model, whichever path computes it."""

from typing import Protocol

from torch import Tensor

from llm_api.engine.attention.backend import AttentionBackend
from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCacheShape


class Model(Protocol):
    name: str
    cache_shape: KVCacheShape

    def logits(self, batch: Batch, attention: AttentionBackend) -> Tensor:
        """Float32 [outputs, vocabulary], for `batch.logits_rows`, the padding included."""
        ...
