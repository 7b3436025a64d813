"""The parts of config.json that the engine needs, read as transformers reads them."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llm_api.engine.errors import EngineError, shortened
from llm_api.engine.models.config_values import fault_of
from llm_api.engine.models.end_of_text import end_of_text_ids
from llm_api.engine.models.families.llama_like import NotSupportedError
from llm_api.engine.models.families.parts import DecoderParts
from llm_api.engine.models.families.registry import parts_of
from llm_api.engine.models.families.text_config import TextConfig
from llm_api.engine.models.rope_parameters import rope_parameters

WITHOUT_DEFAULTS = frozenset({"llama", "mistral", "qwen2", "qwen3"})  # families whose files usually have all keys
SIZES = frozenset(
    {"hidden_size", "intermediate_size", "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "num_key_value_heads"}
)
CONTEXT_LENGTHS = ("max_position_embeddings", "max_seq_len", "max_sequence_length", "seq_length")
UNSTATED_CONTEXT = 2048  # of models without position embeddings whose configuration names no length: BLOOM's
WRITTEN_OUT = SIZES | {"hidden_act", "rms_norm_eps", "vocab_size"}


@dataclass(frozen=True)
class ModelConfig(TextConfig):
    max_position_embeddings: int
    eos_token_ids: frozenset[int]

    def parts(self) -> DecoderParts:
        """Those of the engine's own decoders. Raises NotSupportedError where a part is missing: transformers computes such a model."""
        if isinstance(self._parts, NotSupportedError):
            raise self._parts
        return self._parts

    @property
    def has_fast_path(self) -> bool:
        """Whether the engine's own decoders can compute the model. transformers computes the others."""
        return self.fast_path_refusal() is None

    def fast_path_refusal(self) -> str | None:
        """What the engine's own decoders lack for the model; None: nothing."""
        return str(self._parts) if isinstance(self._parts, NotSupportedError) else None

    @cached_property
    def _parts(self) -> DecoderParts | NotSupportedError:
        """Computed once: a mixture of experts has ten thousand parts, and a start asks for them several times."""
        try:
            return parts_of(self)
        except NotSupportedError as error:
            return error

    def uses_fast_path(self, runner: str) -> bool:
        """`runner`: the RUNNER setting."""
        return runner != "general" and self.has_fast_path


def read_model_config(model_path: Path, *, allow_remote_code: bool = False) -> ModelConfig:
    """Raises EngineError when config.json is missing, invalid or not a text model's."""
    raw = _json(model_path)
    text = raw if _is_written_out(raw) else _with_defaults(model_path, allow_remote_code)
    return _checked(raw["model_type"], text, model_path)


def written_out_config(model_path: Path) -> ModelConfig | None:
    """As `read_model_config`, without transformers; None where a key takes a default that only transformers knows."""
    raw = _json(model_path)
    return _checked(raw["model_type"], raw, model_path) if _is_written_out(raw) else None


def _checked(model_type: str, text: dict[str, Any], model_path: Path) -> ModelConfig:
    """Refuses values that anything later would fail on."""
    if fault := fault_of(model_type, text):
        raise EngineError(f"{model_path}/config.json: {fault}")
    try:
        config = _model_config(model_type, text, model_path)
        config.fast_path_refusal()  # computes with the other values
    except KeyError as error:
        reason = "not a text generation model, or one without attention (recurrent, as Mamba): not supported"
        raise EngineError(f"{model_path}/config.json lacks {error}: {reason}") from error
    except (TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        raise EngineError(f"{model_path}/config.json has a value of the wrong kind: {error}") from error
    return config


def _model_config(model_type: str, text: dict[str, Any], model_path: Path) -> ModelConfig:
    heads, hidden = text["num_attention_heads"], text["hidden_size"]
    return ModelConfig(
        raw=text,
        model_type=model_type,
        vocab_size=text["vocab_size"],
        hidden_size=hidden,
        num_layers=text["num_hidden_layers"],
        num_heads=heads,
        num_kv_heads=text.get("num_key_value_heads") or heads,
        head_dim=text.get("head_dim") or hidden // heads,
        max_position_embeddings=_context_length(text),
        eos_token_ids=end_of_text_ids(model_path, text.get("eos_token_id")),
    )


def _context_length(text: dict[str, Any]) -> int:
    """Qwen documents YaRN by adding its parameters alone: the length that they stretch then stays the model's original one."""
    rope = rope_parameters(text)
    written = int(next((text[name] for name in CONTEXT_LENGTHS if text.get(name)), UNSTATED_CONTEXT))
    if rope["rope_type"] != "yarn":
        return written
    original = rope.get("original_max_position_embeddings") or written
    return max(written, int(rope["factor"] * original))


def _json(model_path: Path) -> dict[str, Any]:
    try:
        raw = json.loads((model_path / "config.json").read_text())
        if not isinstance(raw, dict) or not isinstance(raw.get("model_type"), str):
            raise ValueError("it is not a JSON object with a model_type")
    except (OSError, ValueError, RecursionError) as error:
        raise EngineError(f"{model_path}/config.json cannot be read: {error}") from error
    return raw


def _is_written_out(raw: dict[str, Any]) -> bool:
    """Whether no key takes its default. Then transformers, which takes seconds to import, is not needed."""
    family, needed = raw["model_type"], set(WRITTEN_OUT)
    if family == "qwen3":
        needed.add("head_dim")
    if family == "mistral":
        needed.add("sliding_window")
    if raw.get("use_sliding_window"):
        needed |= {"max_window_layers", "sliding_window"}
    parameters = raw.get("rope_parameters")
    has_theta = "rope_theta" in raw or (isinstance(parameters, dict) and "rope_theta" in parameters)
    return family in WITHOUT_DEFAULTS and has_theta and needed <= raw.keys()


def _with_defaults(model_path: Path, allow_remote_code: bool) -> dict[str, Any]:
    """The text model's keys as the class of its model_type in transformers has them, under their common names."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(model_path, local_files_only=True, trust_remote_code=allow_remote_code)
    except Exception as error:  # the classes check their values with exceptions of many kinds
        raise EngineError(f"transformers cannot load {model_path}/config.json: {shortened(error)}") from error
    text = config.get_text_config()
    return text.to_dict() | {name: getattr(text, name) for name in WRITTEN_OUT if hasattr(text, name)}
