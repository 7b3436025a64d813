"""The families that the engine's own decoders compute. A family is added here, with the function that declares its parts."""

from collections.abc import Callable

from llm_api.engine.models.families import dense, mixtures
from llm_api.engine.models.families.llama_like import NotSupportedError
from llm_api.engine.models.families.parts import DecoderParts
from llm_api.engine.models.families.text_config import TextConfig

FAMILIES: dict[str, Callable[[TextConfig], DecoderParts]] = {
    "gemma": dense.gemma,
    "gemma2": dense.gemma2,
    "gemma3": dense.gemma3,  # with a part for images, which is not loaded
    "gemma3_text": dense.gemma3,
    "glm": dense.glm,
    "glm4": dense.glm4,
    "gpt_oss": mixtures.gpt_oss,
    "granite": dense.granite,
    "llama": dense.llama,
    "mistral": dense.mistral,
    "mixtral": mixtures.mixtral,
    "olmo2": dense.olmo2,
    "olmo3": dense.olmo3,
    "phi3": dense.phi3,
    "qwen2": dense.qwen2,
    "qwen3": dense.qwen3,
    "qwen3_moe": mixtures.qwen3_moe,
    "smollm3": dense.smollm3,
    "starcoder2": dense.starcoder2,
}

QUANTIZED = {"gpt_oss": "mxfp4"}  # the method of quantization that a family's weights can be read from


def quantization_of(config: TextConfig) -> str | None:
    """The method by which the checkpoint's weights are quantized."""
    settings = config.raw.get("quantization_config")
    return None if settings is None else str(settings.get("quant_method"))


def parts_of(config: TextConfig) -> DecoderParts:
    """The parts of the model's decoder, by `model_type`. Raises NotSupportedError, with the reason, where a decoder of ours lacks one."""
    if config.model_type not in FAMILIES:
        raise NotSupportedError(f"the architecture {config.model_type}")
    if quantization_of(config) not in {None, QUANTIZED.get(config.model_type)}:
        raise NotSupportedError(f"weights quantized by {quantization_of(config)}")
    try:
        return FAMILIES[config.model_type](config)
    except KeyError as error:
        raise NotSupportedError(f"a config.json without {error}") from error
