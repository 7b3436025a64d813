"""Compares a Llama-like checkpoint with its config.json, whose sizes the decoders trust. Reads headers, no weights."""

from collections.abc import Iterator
from typing import Protocol

from llm_api.engine.errors import EngineError
from llm_api.engine.models.headers import Shape
from llm_api.engine.models.model_config import ModelConfig

BUFFERS = ".rotary_emb.inv_freq"  # computed from config.json; older checkpoints store it
LAYERS = "model.layers."


class Shapes(Protocol):
    """Headers, or a Checkpoint."""

    def __iter__(self) -> Iterator[str]: ...

    def shape(self, name: str) -> Shape: ...


def check_shapes(checkpoint: Shapes, config: ModelConfig) -> None:
    """Every tensor that the decoder reads is there in the size that it trusts, and no layer has a tensor that it would not read.

    Raises EngineError for the first difference.
    """
    expected = _expected(config)
    for name in checkpoint:
        if name.startswith(LAYERS) and name not in expected and not name.endswith(BUFFERS):
            raise EngineError(
                f"a {config.model_type} model with the keys of config.json has no tensor {name}: the two do not belong together"
            )
    for name, shape in expected.items():
        if checkpoint.shape(name) != shape:
            raise EngineError(
                f"the tensor {name} is {list(checkpoint.shape(name))}, but {list(shape)} with the keys of config.json:"
                " the two do not belong together"
            )


def _expected(config: ModelConfig) -> dict[str, Shape]:
    vocabulary = (config.vocab_size, config.hidden_size)
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": vocabulary, "model.norm.weight": (config.hidden_size,)}
    if not config.raw.get("tie_word_embeddings"):
        shapes["lm_head.weight"] = vocabulary
    layer = _layer(config)
    return shapes | {f"{LAYERS}{number}.{name}": shape for number in range(config.num_layers) for name, shape in layer.items()}


def _layer(config: ModelConfig) -> dict[str, Shape]:
    hidden, intermediate = config.hidden_size, config.raw["intermediate_size"]
    queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    attention = {"q": (queries, hidden), "k": (keys, hidden), "v": (keys, hidden), "o": (hidden, queries)}
    mlp = {"gate": (intermediate, hidden), "up": (intermediate, hidden), "down": (hidden, intermediate)}
    linear = {f"self_attn.{name}_proj": shape for name, shape in attention.items()}
    linear |= {f"mlp.{name}_proj": shape for name, shape in mlp.items()}
    shapes: dict[str, Shape] = {f"{name}.weight": shape for name, shape in linear.items()}
    shapes |= {f"{name}.bias": shape[:1] for name, shape in linear.items() if _has_bias(name, config)}
    shapes |= {f"{name}_layernorm.weight": (hidden,) for name in ("input", "post_attention")}
    if config.model_type == "qwen3":
        shapes |= {f"self_attn.{name}_norm.weight": (config.head_dim,) for name in "qk"}
    return shapes


def _has_bias(name: str, config: ModelConfig) -> bool:
    """As the family's class in transformers decides."""
    is_attention = name.startswith("self_attn.")
    if config.model_type == "qwen2":
        return is_attention and name != "self_attn.o_proj"
    if config.model_type in {"llama", "qwen3"} and is_attention:
        return bool(config.raw.get("attention_bias"))
    return config.model_type == "llama" and bool(config.raw.get("mlp_bias"))
