"""Types and ranges of config.json's values: a wrong one is refused by its key, before anything computes with it."""

import json
import math
from collections.abc import Callable
from typing import Any

from llm_api.engine.models.families.registry import FAMILIES

Check = tuple[Callable[[Any], bool], str]  # whether a value fits; what fits


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    return is_whole(value) or (isinstance(value, float) and math.isfinite(value))


MOST = 10_000  # layers, experts: a larger number is no model, and would take minutes to compare with the weights
COUNT: Check = (lambda value: is_whole(value) and value > 0, "a whole number above 0")
WHOLE: Check = (is_whole, "a whole number")
POSITIVE: Check = (lambda value: is_number(value) and value > 0, "a number above 0")
LAYERS: Check = (lambda value: is_whole(value) and 0 < value <= MOST, f"a whole number from 1 to {MOST}")
EXPERTS: Check = (lambda value: is_whole(value) and 0 <= value <= MOST, f"a whole number up to {MOST}")
NUMBER: Check = (is_number, "a number")
TEXT: Check = (lambda value: isinstance(value, str), "a string")
OBJECT: Check = (lambda value: isinstance(value, dict), "an object")
NUMBERS: Check = (
    lambda value: isinstance(value, list) and bool(value) and all(is_number(each) and each > 0 for each in value),
    "a list of numbers above 0",
)

OF_EVERY_MODEL: dict[str, Check] = {
    **dict.fromkeys(("vocab_size", "hidden_size", "num_attention_heads"), COUNT),
    "num_hidden_layers": LAYERS,
}
# Keys that only our own decoders read. Other families have other kinds of values under some of these names.
OF_OUR_DECODERS: dict[str, Check] = {
    **dict.fromkeys(("intermediate_size", "moe_intermediate_size", "num_key_value_heads", "head_dim"), COUNT),
    **dict.fromkeys(("num_experts_per_tok", "decoder_sparse_step"), COUNT),
    **dict.fromkeys(("num_local_experts", "num_experts"), EXPERTS),
    **dict.fromkeys(("max_window_layers", "sliding_window"), WHOLE),
    **dict.fromkeys(("max_position_embeddings", "query_pre_attn_scalar", "logits_scaling"), POSITIVE),
    **dict.fromkeys(
        ("rms_norm_eps", "norm_epsilon", "attention_multiplier", "embedding_multiplier", "residual_multiplier", "rope_theta"), NUMBER
    ),
    **dict.fromkeys(("attn_logit_softcapping", "final_logit_softcapping", "swiglu_alpha", "swiglu_limit"), NUMBER),
    **dict.fromkeys(("hidden_act", "hidden_activation"), TEXT),
    "quantization_config": OBJECT,
}
PER_LAYER = ("layer_types", "no_rope_layers")  # lists with an item for each layer
ROPE_KEYS: dict[str, dict[str, Check]] = {  # that a type of RoPE needs
    "linear": {"factor": POSITIVE},
    "llama3": {"factor": POSITIVE, "low_freq_factor": POSITIVE, "high_freq_factor": POSITIVE},
    "yarn": {"factor": POSITIVE},
    "longrope": {"short_factor": NUMBERS},
}
OF_EVERY_ROPE: dict[str, Check] = {
    **dict.fromkeys(("rope_theta", "partial_rotary_factor", "original_max_position_embeddings", "factor"), POSITIVE),
    **dict.fromkeys(("beta_fast", "beta_slow"), POSITIVE),
    **dict.fromkeys(("attention_factor", "mscale", "mscale_all_dim"), NUMBER),
}


def fault_of(model_type: str, text: dict[str, Any]) -> str | None:
    """What is wrong with a value, by its key, and what fits. None: nothing. Keys that are missing are no fault here."""
    faults = [_fault(text, name, check) for name, check in OF_EVERY_MODEL.items() if name in text]
    faults += [_fault(text, name, OBJECT) for name in ("rope_parameters", "rope_scaling") if text.get(name) is not None]
    if model_type in FAMILIES:
        faults += [_fault(text, name, check) for name, check in OF_OUR_DECODERS.items() if text.get(name) is not None]
    if not any(faults):
        faults += _faults_between(model_type, text)
    return next(filter(None, faults), None)


def _faults_between(model_type: str, text: dict[str, Any]) -> list[str | None]:
    """Of values that depend on others."""
    key = "rope_parameters" if text.get("rope_parameters") else "rope_scaling"
    rope: dict[str, Any] = text.get(key) or {}
    if model_type not in FAMILIES:
        return [_rope_fault(key, rope)] if _rope_type(rope) == "yarn" else []  # it decides the context's length
    by_layer_type = {f"{key}.{name}": value for name, value in rope.items() if isinstance(value, dict)}
    faults = [_rope_fault(name, value) or _short_factor_fault(name, value, text) for name, value in (by_layer_type or {key: rope}).items()]
    return [*faults, *(_list_fault(text, name) for name in PER_LAYER if text.get(name) is not None)]


def _rope_type(rope: dict[str, Any]) -> Any:
    return rope.get("rope_type", rope.get("type", "default"))


def _rope_fault(key: str, rope: dict[str, Any]) -> str | None:
    kind = _rope_type(rope)
    if not isinstance(kind, str):
        return f"{key}.rope_type is {_shown(kind)}, but must be a string: correct it"
    needed = ROPE_KEYS.get(kind, {})
    if missing := next((name for name in needed if rope.get(name) is None), None):
        return f"{key} has no {missing}, which the RoPE type {kind} needs: add it, as in the model's original files"
    checks = {name: check for name, check in OF_EVERY_ROPE.items() if rope.get(name) is not None} | needed
    faults = (_fault(rope, name, check, f"{key}.") for name, check in checks.items())
    return next(filter(None, faults), None)


def _short_factor_fault(key: str, rope: dict[str, Any], text: dict[str, Any]) -> str | None:
    """longrope has a factor for each pair of dimensions."""
    if _rope_type(rope) != "longrope" or not text.keys() >= {"hidden_size", "num_attention_heads"}:
        return None
    dim = text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]
    pairs, count = int(dim * (rope.get("partial_rotary_factor") or 1.0)) // 2, len(rope["short_factor"])
    return None if count == pairs else f"{key}.short_factor has {count} items, but a head has {pairs} pairs of dimensions: correct it"


def _list_fault(text: dict[str, Any], name: str) -> str | None:
    value, layers = text[name], text.get("num_hidden_layers")
    if not isinstance(value, list):
        return f"{name} is {_shown(value)}, but must be a list: correct it"
    if layers is not None and len(value) != layers:
        return f"{name} has {len(value)} items, but num_hidden_layers is {layers}: give each layer one item"
    return None


def _fault(values: dict[str, Any], name: str, check: Check, prefix: str = "") -> str | None:
    fits, what = check
    return None if fits(values[name]) else f"{prefix}{name} is {_shown(values[name])}, but must be {what}: correct it"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:40]}..."
