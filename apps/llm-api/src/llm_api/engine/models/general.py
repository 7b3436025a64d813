"""RUNNER=general: any unmodified AutoModelForCausalLM, with the engine's attention and KV cache."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.batch import Batch
from llm_api.engine.errors import EngineError, shortened
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.models.attention_bridge import AttentionBridge
from llm_api.engine.models.model_config import ModelConfig


class GeneralModel:
    """A transformers model whose attention layers call the engine's attention through an AttentionBridge."""

    name = "general"

    def __init__(self, model: torch.nn.Module, shape: KVCacheShape, bridge: AttentionBridge) -> None:
        self.cache_shape = shape
        self._model = model
        self._bridge = bridge

    def bind(self, cache: KVCache, _max_num_seqs: int) -> None:
        self._attention = SdpaAttention(cache)

    def logits(self, batch: Batch) -> Tensor:
        with self._bridge.use(self._attention.step(batch)):
            output = self._model(
                input_ids=batch.token_ids.unsqueeze(0),
                position_ids=batch.positions.unsqueeze(0),
                use_cache=False,
                logits_to_keep=batch.logits_rows,
            )
        if len(self._bridge.layers_seen) != self.cache_shape.num_layers:
            # A layer with its own state (Mamba, for example) would mix the sequences of a batch.
            attention_layers, layers = len(self._bridge.layers_seen), self.cache_shape.num_layers
            raise EngineError(f"only {attention_layers} of the model's {layers} layers are attention: not supported")
        logits: Tensor = output.logits.squeeze(0).float()
        return logits


def load_general(
    model_path: Path, config: ModelConfig, dtype: torch.dtype, device: torch.device, allow_remote_code: bool, max_model_len: int
) -> GeneralModel:
    """Raises EngineError for an architecture that transformers or the engine's attention does not support."""
    logging.disable_progress_bar()
    bridge = AttentionBridge()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            model_path,
            dtype=dtype,
            attn_implementation=bridge.name,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=allow_remote_code,
        )
    except (ValueError, OSError, KeyError, ImportError, RuntimeError) as error:
        reason = "its attention cannot be replaced" if bridge.name in str(error) else shortened(error)
        raise EngineError(f"transformers cannot load {model_path}: {reason}") from error
    _check_supported(model, max_model_len)
    shape = KVCacheShape(config.num_layers, config.num_kv_heads, config.head_dim, dtype)
    return GeneralModel(model.eval().to(device), shape, bridge)


def _check_supported(model: PreTrainedModel, max_model_len: int) -> None:
    """Rejects models that would give wrong output without an error, for reasons that their attention layers do not show."""
    if model._is_stateful:
        raise EngineError(f"{type(model).__name__} keeps state outside attention (Mamba, for example): not supported")
    limit = _plain_attention_limit(model.config.get_text_config())
    if limit is not None and max_model_len > limit:
        raise EngineError(
            f"{type(model).__name__} changes its attention beyond {limit} tokens, which is not supported: set MAX_MODEL_LEN={limit}"
        )


def _plain_attention_limit(config: PretrainedConfig) -> int | None:
    """The context length beyond which attention is chunked (Llama 4) or all positions depend on the longest prompt (longrope)."""
    limits = [getattr(config, "attention_chunk_size", None)]
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":
        limits.append(rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", 0))
    return min((limit for limit in limits if limit is not None), default=None)
