"""Compares a checkpoint with the class of transformers that will compute it. Reads headers, no weights."""

from logging import CRITICAL
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from llm_api.engine.errors import EngineError, shortened
from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.models.general import refuse_unsupported
from llm_api.engine.models.model_config import ModelConfig


def check_general(model_path: Path, config: ModelConfig, dtype: torch.dtype, allow_remote_code: bool, max_model_len: int) -> None:
    """transformers fills what a checkpoint lacks with random weights, and passes over what the class does not know. Raises EngineError
    for a tensor that is missing or of another shape, and for one that config.json switches off, such as a bias.
    """
    if "quantization_config" in config.raw:
        return  # tensors of quantized checkpoints have other names and shapes; some methods load on a GPU only
    model, report = _on_meta(model_path, dtype, allow_remote_code)
    if missing := report["missing_keys"]:
        raise EngineError(
            f"the checkpoint lacks the tensor {min(missing)} ({len(missing)} are missing): it is incomplete or does not match config.json"
        )
    if mismatched := report["mismatched_keys"]:
        name, stored, expected = min(mismatched)
        raise EngineError(
            f"the tensor {name} is {list(stored)}, but {list(expected)} with the keys of config.json: the two do not belong together"
        )
    if ignored := sorted(name for name in report["unexpected_keys"] if _is_switched_off(model, name)):
        raise EngineError(f"{type(model).__name__} with the keys of config.json has no tensor {ignored[0]}: the two do not belong together")
    refuse_unsupported(model, max_model_len)


def expected_cache_shape(config: ModelConfig, dtype: torch.dtype) -> KVCacheShape:
    """The loaded model shows its own in a run. Where config.json has no key for it, this follows the family's class."""
    raw, heads, dim = config.raw, config.num_kv_heads, config.head_dim
    if "kv_lora_rank" in raw:  # DeepSeek's attention, whose keys are wider than its values
        heads, dim = config.num_heads, max(raw["qk_nope_head_dim"] + raw["qk_rope_head_dim"], raw["v_head_dim"])
    if raw.get("multi_query") and not raw.get("new_decoder_architecture"):  # Falcon, GPT-BigCode
        heads = 1
    return KVCacheShape(config.num_layers, heads, dim, dtype)


def _on_meta(model_path: Path, dtype: torch.dtype, allow_remote_code: bool) -> tuple[PreTrainedModel, dict[str, Any]]:
    load: Any = AutoModelForCausalLM.from_pretrained  # its annotation forgets the report
    before = logging.get_verbosity()
    logging.set_verbosity(CRITICAL)  # transformers prints its report as a table
    logging.disable_progress_bar()
    try:
        model, report = load(
            model_path,
            dtype=dtype,
            device_map="meta",
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=allow_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except Exception as error:  # the classes raise exceptions of many kinds for values of config.json
        raise EngineError(f"transformers cannot load {model_path}: {shortened(error)}") from error
    finally:
        logging.set_verbosity(before)
    return model, report


def _is_switched_off(model: PreTrainedModel, name: str) -> bool:
    """Whether a layer declares the parameter, and config.json leaves it out."""
    path, _, parameter = name.rpartition(".")
    try:
        layer = model.get_submodule(path)
    except AttributeError:
        return False
    return parameter in layer._parameters and layer._parameters[parameter] is None
