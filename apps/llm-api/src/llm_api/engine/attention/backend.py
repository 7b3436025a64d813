"""What the models ask of attention, whatever the device."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from llm_api.engine.batch import Batch


@dataclass(frozen=True, slots=True)
class AttentionOptions:
    """What differs from layer to layer in some models."""

    scale: float
    sliding_window: int | None = None  # a token sees itself and the `sliding_window - 1` before it


class StepAttention(Protocol):
    """Attention of one step's rows, for every layer of the model."""

    def attend(self, layer: int, query: Tensor, key_values: Tensor, options: AttentionOptions) -> Tensor:
        """Stores the rows' keys and values, then lets each row see its own sequence up to itself.

        query [rows, heads, head dim], key_values [rows, 2, kv heads, head dim]; returns [rows, heads, head dim].
        Heads share kv heads in neighbouring groups (grouped-query attention). What a padding row gets is unspecified.
        """
        ...


class AttentionBackend(Protocol):
    def step(self, batch: Batch) -> StepAttention:
        """What the layers share is made here, once per step."""
        ...
