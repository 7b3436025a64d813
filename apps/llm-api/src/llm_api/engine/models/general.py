"""RUNNER=general: any unmodified AutoModelForCausalLM, with the engine's KV cache."""

from pathlib import Path
from typing import Any

import structlog
import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.cache_utils import (
    CacheLayerMixin,
    DummyLayer,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionCacheLayerMixin,
)
from transformers.utils import logging

from llm_api.engine.errors import EngineError, shortened
from llm_api.engine.models.attention_bridge import AttentionBridge, Unsupported
from llm_api.engine.models.batched import BatchedModel
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.one_by_one import OneByOneModel
from llm_api.engine.models.trial import Trial

log = structlog.get_logger()


def load_general(
    model_path: Path, config: ModelConfig, dtype: torch.dtype, device: torch.device, allow_remote_code: bool, max_model_len: int
) -> BatchedModel | OneByOneModel:
    """Raises EngineError for an architecture that transformers or the engine does not support."""
    logging.disable_progress_bar()
    bridge = AttentionBridge()
    try:
        model, can_be_batched = _load(model_path, bridge.name, dtype, device, allow_remote_code), True
    except Irreplaceable:
        model, can_be_batched = _load(model_path, None, dtype, device, allow_remote_code), False
    _refuse_unsupported(model, max_model_len)
    _use_own_attention(model)
    trial = Trial(model, config.vocab_size, dtype, device)
    try:
        if not can_be_batched:
            raise Unsupported("its own attention, which cannot be replaced")
        return _batched(model, bridge, trial, dtype, device, max_model_len)
    except Unsupported as reason:
        _use_own_attention(model)
        one_by_one = OneByOneModel(model, len(_cache_layers(model)), len(_storing_layers(model)), dtype, device)
        difference = trial.difference(one_by_one)
        if difference is not None:
            raise EngineError(f"{type(model).__name__} cannot compute a text in parts: {difference}: not supported") from reason
        log.warning("the model computes one sequence at a time, which is slower than a batch", reason=f"it needs {reason}")
        return one_by_one


class Irreplaceable(Exception):
    """The model has no attention that can be replaced."""


def _load(model_path: Path, attention: str | None, dtype: torch.dtype, device: torch.device, allow_remote_code: bool) -> PreTrainedModel:
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            model_path,
            dtype=dtype,
            attn_implementation=attention,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=allow_remote_code,
        )
    except (ValueError, OSError, KeyError, ImportError, RuntimeError) as error:
        if attention is not None and attention in str(error):
            raise Irreplaceable from error
        raise EngineError(f"transformers cannot load {model_path}: {shortened(error)}") from error
    return model.eval().to(device)


def _batched(
    model: PreTrainedModel, bridge: AttentionBridge, trial: Trial, dtype: torch.dtype, device: torch.device, max_model_len: int
) -> BatchedModel:
    """Raises Unsupported."""
    chunk = getattr(model.config.get_text_config(), "attention_chunk_size", None)  # Llama 4
    if chunk is not None and max_model_len > chunk:
        raise Unsupported(f"attention in chunks of {chunk} tokens: MAX_MODEL_LEN={chunk} allows batches")
    _use_attention(model, bridge.name)
    batched = BatchedModel(model, bridge, dtype, device)
    attending, storing = batched.cache_shape.num_layers, len(_storing_layers(model))
    if attending < storing:
        raise Unsupported(f"another attention in {storing - attending} of {storing} layers")
    difference = trial.difference(batched)
    if difference is not None:
        raise Unsupported(f"a sequence at a time: in a batch, {difference}")
    return batched


def _use_own_attention(model: PreTrainedModel) -> None:
    """The implementation that transformers itself chooses. Others may differ: Falcon's eager one counts ALiBi twice."""
    _use_attention(model, model.get_correct_attn_implementation(None))


def _use_attention(model: PreTrainedModel, name: str) -> None:
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.config._attn_implementation = name


def _refuse_unsupported(model: PreTrainedModel, max_model_len: int) -> None:
    """Rejects models that would give wrong output without an error."""
    name = type(model).__name__
    if model._is_stateful:
        raise EngineError(f"{name} keeps a state that is not in the KV cache (a recurrent or hybrid model, as Mamba): not supported")
    for layer in _storing_layers(model):
        if type(layer) not in {DynamicLayer, DynamicSlidingWindowLayer}:
            raise EngineError(f"{name} has layers with a state of their own ({type(layer).__name__}): not supported")
    limit = _longrope_limit(model.config.get_text_config())
    if limit is not None and max_model_len > limit:
        raise EngineError(f"{name} changes the positions of all tokens beyond {limit} (longrope): not supported: set MAX_MODEL_LEN={limit}")


def _cache_layers(model: PreTrainedModel) -> list[CacheLayerMixin | LinearAttentionCacheLayerMixin | DummyLayer]:
    """What a cache of the model holds for each layer, as transformers sees it."""
    return DynamicCache(config=model.config).layers


def _storing_layers(model: PreTrainedModel) -> list[CacheLayerMixin | LinearAttentionCacheLayerMixin]:
    """Without the layers that have no attention or use the keys and values of another one."""
    return [layer for layer in _cache_layers(model) if not isinstance(layer, DummyLayer)]


def _longrope_limit(config: PretrainedConfig) -> int | None:
    """The context length beyond which the positions of all tokens depend on the longest prompt."""
    rope: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") != "longrope":
        return None
    original = rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
    return int(original or 0)
