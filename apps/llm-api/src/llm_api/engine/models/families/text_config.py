"""The keys of config.json from which a family declares its parts."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TextConfig:
    """`raw` has all keys of the text model, for settings that only one model family has."""

    raw: dict[str, Any]
    model_type: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
