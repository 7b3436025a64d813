"""What a GGUF has that transformers does not read, such as rotary scaling and biases. It is applied, or the file is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.ggml_vocabulary import Vocabulary

if TYPE_CHECKING:
    from gguf import GGUFReader
    from transformers import PretrainedConfig

ROPE_FACTORS = "rope_freqs.weight"
OTHER_ROPE_FACTORS = ("rope_factors_long.weight", "rope_factors_short.weight")
READ_BY_TRANSFORMERS = {"gpt-oss"}  # architectures whose rotary scaling transformers restores
TURN_ENDS = ("tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id")
ROPE_KEYS = {"type", "factor", "original_context_length", "finetuned"}
TOLERANCE = 1e-4  # of a rotary factor; files store float32


@dataclass(frozen=True, slots=True)
class GgufMetadata:
    architecture: str
    pre_tokenizer: str  # empty: not a byte-level vocabulary, or none named
    vocabulary: Vocabulary | None  # None: not a byte-level vocabulary
    eos: int | None
    elements: int
    tensors: frozenset[str]
    rope_factors: tuple[float, ...]  # of each rotary frequency; empty: none
    rope_scaling: dict[str, Any]
    turn_ends: list[int]

    def apply(self, config: "PretrainedConfig") -> None:
        """Sets what transformers left out. Raises UnsupportedModel for rotary scaling that no rule of transformers gives."""
        if any(name.endswith("attn_q.bias") for name in self.tensors) and hasattr(config, "attention_bias"):
            config.attention_bias = True
        if any(name.endswith("ffn_gate.bias") for name in self.tensors) and hasattr(config, "mlp_bias"):
            config.mlp_bias = True
        if self.rope_factors:
            config.rope_parameters = _llama3(config, self.rope_factors)
        elif self.rope_scaling:
            config.rope_parameters = {**config.rope_parameters, **self.rope_scaling}


def read_metadata(reader: "GGUFReader") -> GgufMetadata:
    """Raises UnsupportedModel for a rotary scaling that is not known."""
    architecture = _value(reader, "general.architecture") or ""
    byte_level = _value(reader, "tokenizer.ggml.model") == "gpt2"
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    for name in OTHER_ROPE_FACTORS:
        if name in tensors:
            raise UnsupportedModel(f"the tensor {name} (longrope) is not supported: use the model's safetensors files.")
    factors = tensors.get(ROPE_FACTORS)
    return GgufMetadata(
        architecture=architecture,
        pre_tokenizer=(_value(reader, "tokenizer.ggml.pre") or "") if byte_level else "",
        vocabulary=_vocabulary(reader) if byte_level else None,
        eos=_value(reader, "tokenizer.ggml.eos_token_id"),
        elements=sum(int(tensor.n_elements) for tensor in reader.tensors),
        tensors=frozenset(tensors),
        rope_factors=() if factors is None or (factors.data == 1).all() else tuple(map(float, factors.data)),
        rope_scaling={} if architecture in READ_BY_TRANSFORMERS else _rope_scaling(reader, architecture),
        turn_ends=[int(found) for key in TURN_ENDS if (found := _value(reader, key)) is not None],
    )


def _value(reader: "GGUFReader", key: str) -> Any:
    field = reader.get_field(key)
    return None if field is None else field.contents()


def _vocabulary(reader: "GGUFReader") -> Vocabulary:
    from gguf import TokenType

    types = _value(reader, "tokenizer.ggml.token_type") or []
    return Vocabulary(
        tokens=_value(reader, "tokenizer.ggml.tokens") or [],
        merges=_value(reader, "tokenizer.ggml.merges") or [],
        control=[token_id for token_id, kind in enumerate(types) if kind == TokenType.CONTROL],
        user_defined=[token_id for token_id, kind in enumerate(types) if kind == TokenType.USER_DEFINED],
        bos=_value(reader, "tokenizer.ggml.bos_token_id"),
        adds_bos=_value(reader, "tokenizer.ggml.add_bos_token"),
    )


def _rope_scaling(reader: "GGUFReader", architecture: str) -> dict[str, Any]:
    prefix = f"{architecture}.rope.scaling."
    scaling = {key.removeprefix(prefix): _value(reader, key) for key in reader.fields if key.startswith(prefix)}
    linear = _value(reader, f"{architecture}.rope.scale_linear")  # the key of files from 2023
    if linear is not None:
        scaling |= {"type": "linear", "factor": linear}
    if unknown := sorted(scaling.keys() - ROPE_KEYS):
        raise UnsupportedModel(f"the key {prefix}{unknown[0]} is not supported: use the model's safetensors files.")
    match scaling.get("type", "none"):
        case "none":
            return {}
        case "linear":
            return {"rope_type": "linear", "factor": float(scaling["factor"])}
        case "yarn" if "original_context_length" in scaling:
            original = int(scaling["original_context_length"])
            return {"rope_type": "yarn", "factor": float(scaling["factor"]), "original_max_position_embeddings": original}
        case other:
            raise UnsupportedModel(f"{prefix}type {other!r} is not supported with these keys: use the model's safetensors files.")


def _llama3(config: "PretrainedConfig", factors: tuple[float, ...]) -> dict[str, Any]:
    """The parameters from which llama.cpp's converter computed the factors: Llama 3.1 to 3.3 scale only their low frequencies."""
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    plain = config.rope_parameters
    theta, count = float(plain["rope_theta"]), len(factors)
    frequencies = [theta ** (-number / count) for number in range(count)]
    for exponent in range(4, 20):
        candidate = {
            **plain,
            "rope_type": "llama3",
            "factor": max(factors),
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 2**exponent,
        }
        config.rope_parameters = candidate
        inverse, _ = ROPE_INIT_FUNCTIONS["llama3"](config, device="cpu")
        given = [frequency / factor for frequency, factor in zip(frequencies, factors, strict=True)]
        if all(abs(float(ours) / theirs - 1) < TOLERANCE for ours, theirs in zip(inverse, given, strict=True)):
            return candidate
    raise UnsupportedModel(f"the rotary factors of {ROPE_FACTORS} are not those of Llama 3: use the model's safetensors files.")


def unread_tensors(metadata: GgufMetadata, model: Any) -> list[str]:
    """Tensors of the file that transformers has no place for. Empty for architectures whose names it maps in other ways."""
    from transformers.modeling_gguf_pytorch_utils import TENSOR_PROCESSORS, TensorProcessor, get_gguf_hf_weights_map

    if metadata.architecture not in {"llama", "qwen2", "qwen3"}:
        return []
    processor_class: Any = TENSOR_PROCESSORS.get(metadata.architecture, TensorProcessor)
    processor = processor_class(config=model.config.to_dict())
    return sorted(metadata.tensors - {ROPE_FACTORS} - get_gguf_hf_weights_map(model, processor).keys())


def metadata_of(file: Path) -> GgufMetadata:
    """Raises UnsupportedModel when the file is not GGUF, or has a rotary scaling that is not known."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
    except OSError as error:
        raise UnsupportedModel(f"cannot read {file}: {error.strerror or error}.") from error
    except Exception as error:
        first_line = (str(error).strip() or "no reason given").splitlines()[0]
        raise UnsupportedModel(f"cannot read {file.name} as GGUF: {type(error).__name__}: {first_line}") from error
    return read_metadata(reader)
