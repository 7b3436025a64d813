"""Rotary embeddings: the keys `rope.*` and the tensors of factors become the rotary parameters of transformers."""

from typing import Any

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.header import Header

ROPE_FACTORS = "rope_freqs.weight"
LONG_FACTORS, SHORT_FACTORS = "rope_factors_long.weight", "rope_factors_short.weight"
FACTORS = frozenset({ROPE_FACTORS, LONG_FACTORS, SHORT_FACTORS})
DEFAULT_THETA = 10000.0  # llama.cpp's, for files that do not say
_TOLERANCE = 1e-4  # of a rotary factor; files store float32


def rope_parameters(header: Header, head_dim: int) -> dict[str, Any]:
    """Raises UnsupportedModel for a scaling that no rule of transformers gives."""
    parameters: dict[str, Any] = {"rope_type": "default", "rope_theta": float(header.own("rope.freq_base", DEFAULT_THETA))}
    rotated = header.own("rope.dimension_count", head_dim)
    if rotated != head_dim:
        parameters["partial_rotary_factor"] = rotated / head_dim
    scaling = _scaling(header)
    if LONG_FACTORS in header.tensors:
        return parameters | _longrope(header)
    if ROPE_FACTORS in header.tensors and not (header.tensors[ROPE_FACTORS].data == 1).all():
        return _llama3(parameters, tuple(map(float, header.tensors[ROPE_FACTORS].data)))
    return parameters | scaling


def _scaling(header: Header) -> dict[str, Any]:
    kind = header.own("rope.scaling.type", "none")
    factor = header.own("rope.scaling.factor", None)
    original = header.own("rope.scaling.original_context_length", None)
    if (old := header.own("rope.scale_linear", None)) is not None and old != 1:  # the key of files from 2023
        kind, factor = "linear", old
    match kind:
        case "none":
            return {}
        case "longrope" if LONG_FACTORS in header.tensors:  # its factors are tensors
            return {}
        case "linear" if factor is not None:
            return {"rope_type": "linear", "factor": float(factor)}
        case "yarn" if factor is not None and original is not None:
            return {"rope_type": "yarn", "factor": float(factor), "original_max_position_embeddings": int(original)} | _yarn(header)
        case other:
            key = f"{header.architecture}.rope.scaling.type"
            raise UnsupportedModel(f"{key} {other!r} is not supported with these keys: use the model's safetensors files.")


def _yarn(header: Header) -> dict[str, Any]:
    """Other keys of YaRN are not read, so the file is refused if it has them."""
    settings = {name: header.own(f"rope.scaling.yarn_{name}", None) for name in ("beta_fast", "beta_slow")}
    return {name: float(value) for name, value in settings.items() if value is not None}


def _longrope(header: Header) -> dict[str, Any]:
    """Two lists of factors: for prompts within the original context, and beyond it."""
    if SHORT_FACTORS not in header.tensors:
        raise UnsupportedModel(f"the file has {LONG_FACTORS} but no {SHORT_FACTORS}: use the model's safetensors files.")
    original = int(header.own("rope.scaling.original_context_length"))
    return {
        "rope_type": "longrope",
        "short_factor": [float(value) for value in header.tensors[SHORT_FACTORS].data],
        "long_factor": [float(value) for value in header.tensors[LONG_FACTORS].data],
        "original_max_position_embeddings": original,
        "factor": header.own("context_length") / original,
        "attention_factor": float(header.own("rope.scaling.attn_factor")),
    }


def _llama3(plain: dict[str, Any], factors: tuple[float, ...]) -> dict[str, Any]:
    """The parameters from which llama.cpp's converter computed the factors: Llama 3.1 to 3.3 scale only their low frequencies."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    theta, count = plain["rope_theta"], len(factors)
    given = [theta ** (-number / count) / factor for number, factor in enumerate(factors)]
    for exponent in range(4, 20):
        candidate = {
            **plain,
            "rope_type": "llama3",
            "factor": max(factors),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 2**exponent,
        }
        config = LlamaConfig(head_dim=2 * count, max_position_embeddings=2**20, rope_parameters=candidate)
        inverse, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device="cpu")
        if all(abs(float(ours) / theirs - 1) < _TOLERANCE for ours, theirs in zip(inverse, given, strict=True)):
            return candidate
    raise UnsupportedModel(f"the rotary factors of {ROPE_FACTORS} are not those of Llama 3: use the model's safetensors files.")
