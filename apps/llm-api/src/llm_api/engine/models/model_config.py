"""The parts of config.json that the engine needs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_api.engine.errors import EngineError
from llm_api.engine.models.rope import rope_parameters

FAST_MODEL_TYPES = frozenset({"llama", "mistral", "qwen2", "qwen3"})
FAST_ROPE_TYPES = frozenset({"default", "linear", "llama3"})
DEFAULT_SLIDING_WINDOW = 4096  # the defaults of transformers
DEFAULT_MAX_WINDOW_LAYERS = 28


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """`raw` is the whole file, for settings that only one model family has."""

    raw: dict[str, Any]
    model_type: str
    vocab_size: int
    hidden_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    max_position_embeddings: int
    eos_token_ids: frozenset[int]

    @property
    def has_fast_path(self) -> bool:
        """Whether the engine's own decoders can compute the model. transformers computes the others."""
        return (
            self.model_type in FAST_MODEL_TYPES
            and self.raw.get("hidden_act", "silu") == "silu"
            and rope_parameters(self.raw)["rope_type"] in FAST_ROPE_TYPES
            and "quantization_config" not in self.raw
        )

    def uses_fast_path(self, runner: str) -> bool:
        """`runner`: the RUNNER setting."""
        return runner != "general" and self.has_fast_path

    def sliding_window(self, layer: int) -> int | None:
        """Tokens that a layer attends to, as transformers reads the configuration; None: all. For families with a fast path."""
        window: int | None = self.raw.get("sliding_window", DEFAULT_SLIDING_WINDOW)
        return window if self._slides(layer) else None

    def _slides(self, layer: int) -> bool:
        if self.model_type not in {"qwen2", "qwen3"}:
            return self.model_type == "mistral"
        layer_types = self.raw.get("layer_types")
        late = layer >= self.raw.get("max_window_layers", DEFAULT_MAX_WINDOW_LAYERS)
        return self.raw.get("use_sliding_window", False) and (layer_types[layer] == "sliding_attention" if layer_types else late)


def read_model_config(model_path: Path) -> ModelConfig:
    """Raises EngineError when config.json is missing, invalid or not a text model's."""
    try:
        raw = json.loads((model_path / "config.json").read_text())
        if not isinstance(raw, dict):
            raise ValueError("it is not a JSON object")
    except (OSError, ValueError) as error:
        raise EngineError(f"{model_path}/config.json cannot be read: {error}") from error
    text = raw.get("text_config") or raw
    try:
        return _model_config(raw, text, model_path)
    except KeyError as error:
        raise EngineError(f"{model_path}/config.json lacks {error}: not a text generation model?") from error


def _model_config(raw: dict[str, Any], text: dict[str, Any], model_path: Path) -> ModelConfig:
    heads: int = _named(text, "num_attention_heads", "n_head")
    hidden: int = _named(text, "hidden_size", "n_embd")
    return ModelConfig(
        raw=text,
        model_type=raw["model_type"],
        vocab_size=text["vocab_size"],
        hidden_size=hidden,
        num_layers=_named(text, "num_hidden_layers", "n_layer"),
        num_heads=heads,
        num_kv_heads=text.get("num_key_value_heads") or heads,
        head_dim=text.get("head_dim") or hidden // heads,
        max_position_embeddings=_named(text, "max_position_embeddings", "n_positions"),
        eos_token_ids=_eos_token_ids(text, model_path),
    )


def _named(text: dict[str, Any], name: str, older_name: str) -> Any:
    """Some families still use the names of their first release."""
    return text[older_name] if older_name in text else text[name]


def _eos_token_ids(text: dict[str, Any], model_path: Path) -> frozenset[int]:
    generation = model_path / "generation_config.json"
    eos = json.loads(generation.read_text()).get("eos_token_id") if generation.exists() else None
    if eos is None:
        eos = text.get("eos_token_id")
    if eos is None:
        return frozenset()
    return frozenset([eos] if isinstance(eos, int) else eos)
