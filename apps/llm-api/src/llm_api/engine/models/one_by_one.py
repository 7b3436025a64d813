"""A transformers model that computes the sequences of a step one by one, with its own attention.

For models whose attention the engine cannot compute: position biases (ALiBi), masks of their own, an attention that cannot be replaced.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from llm_api.engine.batch import Batch, SequenceRows
from llm_api.engine.errors import EngineError, shortened
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.models.forward import PROBE, may_accept, named_arguments
from llm_api.engine.models.paged_cache import Context, PagedCache, PagedContext


class OneByOneModel:
    """Its attention layers find the keys and values of the sequence's earlier tokens in a PagedCache."""

    name = "general"

    def __init__(self, model: PreTrainedModel, num_layers: int, num_storing: int, dtype: torch.dtype, device: torch.device) -> None:
        """`num_storing`: layers that store keys and values, out of all. Raises EngineError, naming the reason."""
        self._model = model
        self._num_layers = num_layers
        self._arguments = named_arguments(model)
        if not may_accept(model, "past_key_values"):
            raise EngineError(f"{type(model).__name__} takes no KV cache (past_key_values): not supported")
        self.cache_shape = self._probe(num_storing, dtype, device)

    def bind(self, cache: KVCache, _max_num_seqs: int) -> None:
        self._cache = cache

    def logits(self, batch: Batch) -> Tensor:
        rows = batch.logits_rows[: batch.num_outputs]
        return torch.cat([self._sequence(batch, sequence, rows) for sequence in batch.sequences])

    def _sequence(self, batch: Batch, sequence: SequenceRows, logits_rows: Tensor) -> Tensor:
        """Float32 logits for those of `logits_rows` that are the sequence's."""
        start, end = sequence.start, sequence.end
        context = PagedContext(self._cache, sequence, batch.slots[start:end])
        own = logits_rows[(logits_rows >= start) & (logits_rows < end)] - start
        return self._forward(batch.token_ids[start:end], batch.positions[start:end], own, context)

    def _forward(self, token_ids: Tensor, positions: Tensor, logits_rows: Tensor, context: Context) -> Tensor:
        arguments: dict[str, Any] = {
            "attention_mask": token_ids.new_ones(1, context.past + len(token_ids)),
            "position_ids": positions.unsqueeze(0),
            "logits_to_keep": logits_rows,
        }
        output = self._model(
            input_ids=token_ids.unsqueeze(0),
            past_key_values=PagedCache(context, self._num_layers),
            use_cache=True,
            **{name: value for name, value in arguments.items() if name in self._arguments},
        )
        logits: Tensor = output.logits.squeeze(0)
        return (logits if "logits_to_keep" in self._arguments else logits[logits_rows]).float()

    @torch.inference_mode()
    def _probe(self, num_storing: int, dtype: torch.dtype, device: torch.device) -> KVCacheShape:
        """The shapes of keys and values, from a run with a few tokens: configurations name and count them in many ways."""
        recorder, tokens = Recorder(), torch.tensor(PROBE, device=device)
        name = type(self._model).__name__
        try:
            self._forward(tokens, torch.arange(len(PROBE), device=device), tokens[:1], recorder)
        except Exception as error:  # models fail in many ways
            raise EngineError(f"{name} does not run with the engine's KV cache: {type(error).__name__}: {shortened(error)}") from error
        if len(recorder.shapes) < num_storing:
            raise EngineError(f"{name} stores keys and values in only {len(recorder.shapes)} of {num_storing} layers: not supported")
        heads, widths = zip(*recorder.shapes.values(), strict=True)
        return KVCacheShape(max(recorder.shapes) + 1, max(heads), max(widths), dtype)


class Recorder:
    """The context of a sequence without a past. Records the shapes of its keys and values."""

    past = 0

    def __init__(self) -> None:
        self.shapes: dict[int, tuple[int, int]] = {}

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        self.shapes[layer] = (max(key.shape[1], value.shape[1]), max(key.shape[3], value.shape[3]))
        return key, value
