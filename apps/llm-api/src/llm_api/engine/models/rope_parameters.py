"""The RoPE settings of config.json."""

from typing import Any

ROPE_TYPES = frozenset({"default", "linear", "llama3", "yarn", "longrope"})  # that rope.py computes


def rope_parameters(raw: dict[str, Any]) -> dict[str, Any]:
    """The RoPE settings of config.json in the format of transformers 5. Older files spread them over two keys."""
    parameters = dict(raw.get("rope_parameters") or raw.get("rope_scaling") or {})
    parameters.setdefault("rope_theta", raw.get("rope_theta", 10000.0))
    parameters.setdefault("rope_type", parameters.get("type", "default"))
    return parameters
