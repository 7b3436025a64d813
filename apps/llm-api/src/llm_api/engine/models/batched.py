"""A transformers model that computes all sequences of a step at once, with the engine's attention in its attention layers."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.batch import Batch
from llm_api.engine.errors import shortened
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.models.attention_bridge import AttentionBridge, Unsupported
from llm_api.engine.models.forward import PROBE, may_accept, named_arguments


class BatchedModel:
    """Its attention layers call the engine's attention through an AttentionBridge."""

    name = "general"

    def __init__(self, model: PreTrainedModel, bridge: AttentionBridge, dtype: torch.dtype, device: torch.device) -> None:
        """Raises Unsupported, naming what is missing."""
        self._model = model
        self._bridge = bridge
        self._selects_rows = "logits_to_keep" in named_arguments(model)
        if not may_accept(model, "position_ids"):
            raise Unsupported("positions that the model counts itself")
        self.cache_shape = self._probe(dtype, device)
        bridge.head_dim = self.cache_shape.head_dim

    def bind(self, cache: KVCache, _max_num_seqs: int) -> None:
        self._attention = SdpaAttention(cache)

    def logits(self, batch: Batch) -> Tensor:
        with self._bridge.use(self._attention.step(batch)):
            return self._forward(batch.token_ids, batch.positions, batch.logits_rows).float()

    def _forward(self, token_ids: Tensor, positions: Tensor, logits_rows: Tensor) -> Tensor:
        arguments = {"input_ids": token_ids.unsqueeze(0), "position_ids": positions.unsqueeze(0), "use_cache": False}
        if self._selects_rows:
            logits: Tensor = self._model(**arguments, logits_to_keep=logits_rows).logits
            return logits.squeeze(0)
        logits = self._model(**arguments).logits
        return logits.squeeze(0)[logits_rows]

    @torch.inference_mode()
    def _probe(self, dtype: torch.dtype, device: torch.device) -> KVCacheShape:
        """The shapes of keys and values, from a run with a few tokens: configurations name and count them in many ways."""
        recorder = Recorder()
        tokens = torch.tensor(PROBE, device=device)
        try:
            with self._bridge.use(recorder):
                self._forward(tokens, torch.arange(len(PROBE), device=device), tokens[:1])
        except Unsupported:
            raise
        except Exception as error:  # a model that computes attention with a mask or a cache itself fails in its own way
            raise Unsupported(f"another attention ({type(error).__name__}: {shortened(error)})") from error
        return recorder.shape(dtype)


class Recorder:
    """Stands for a step's attention and records the shapes of its keys and values."""

    def __init__(self) -> None:
        self._shapes: dict[int, tuple[int, int]] = {}

    def attend(self, layer: int, query: Tensor, key_values: Tensor, _options: AttentionOptions) -> Tensor:
        self._shapes[layer] = (key_values.shape[2], key_values.shape[3])
        return torch.zeros_like(query)

    def shape(self, dtype: torch.dtype) -> KVCacheShape:
        if not self._shapes:
            raise Unsupported("its own attention, which cannot be replaced")
        if max(self._shapes) >= len(self._shapes):
            raise Unsupported(f"another attention in some layers (not in layers {sorted(self._shapes)})")
        if len({heads for heads, _ in self._shapes.values()}) > 1:
            raise Unsupported("layers with different numbers of key/value heads")
        heads = self._shapes[0][0]
        return KVCacheShape(len(self._shapes), heads, max(dim for _, dim in self._shapes.values()), dtype)
