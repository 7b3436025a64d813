"""Compares a checkpoint with the parts that its config.json declares, whose sizes the decoders trust. Reads headers, no weights."""

from collections.abc import Iterator
from typing import Protocol

from llm_api.engine.errors import EngineError
from llm_api.engine.models.families.parts import DecoderParts
from llm_api.engine.models.headers import Shape
from llm_api.engine.models.model_config import ModelConfig

BUFFERS = (".rotary_emb.inv_freq", ".masked_bias")  # computed from config.json; older checkpoints store them
PREFIXES = ("model.", "language_model.model.", "model.language_model.")  # the second and third: of models that also see images


class Shapes(Protocol):
    """Headers, or a Checkpoint."""

    def __contains__(self, name: str) -> bool: ...

    def __iter__(self) -> Iterator[str]: ...

    def shape(self, name: str) -> Shape: ...


def check_shapes(checkpoint: Shapes, config: ModelConfig) -> None:
    """Every tensor that the decoder reads is there in the size that it trusts, and no layer has a tensor that it would not read.

    Raises EngineError for the first difference.
    """
    parts, prefix = config.parts(), prefix_of(checkpoint)
    expected = dict(_expected(parts, config, prefix))
    for name in checkpoint:
        if name.startswith(f"{prefix}layers.") and name not in expected and not name.endswith(BUFFERS):
            raise EngineError(
                f"a {config.model_type} model with the keys of config.json has no tensor {name}: the two do not belong together"
            )
    for name, shape in expected.items():
        if checkpoint.shape(name) != shape:
            raise EngineError(
                f"the tensor {name} is {list(checkpoint.shape(name))}, but {list(shape)} with the keys of config.json:"
                " the two do not belong together"
            )


def prefix_of(checkpoint: Shapes) -> str:
    """What precedes the names of the decoder's tensors, except the head's."""
    return next((prefix for prefix in PREFIXES if f"{prefix}embed_tokens.weight" in checkpoint), PREFIXES[0])


def head_name(parts: DecoderParts, prefix: str) -> str:
    return prefix.removesuffix("model.").removeprefix("model.language_model.") + parts.head


def _expected(parts: DecoderParts, config: ModelConfig, prefix: str) -> Iterator[tuple[str, Shape]]:
    vocabulary = (config.vocab_size, config.hidden_size)
    yield prefix + parts.embedding, vocabulary
    yield from _prefixed(prefix, parts.norm.shapes())
    if not parts.is_tied:
        yield head_name(parts, prefix), vocabulary
    for layer in parts.layers:
        for norms in (layer.attention_norms, layer.feed_forward_norms):
            for norm in (norms.before, norms.after):
                if norm is not None:
                    yield from _prefixed(prefix, norm.shapes())
        for shapes in (*layer.attention.shapes(config.num_heads), *layer.feed_forward.shapes()):
            yield from _prefixed(prefix, shapes)


def _prefixed(prefix: str, shapes: dict[str, Shape]) -> Iterator[tuple[str, Shape]]:
    return ((prefix + name, shape) for name, shape in shapes.items())
