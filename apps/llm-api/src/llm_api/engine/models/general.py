"""The general path: any AutoModelForCausalLM, unmodified, with our attention and cache under it."""

from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from llm_api.engine.attention.backend import AttentionBackend
from llm_api.engine.batch import Batch
from llm_api.engine.errors import EngineError
from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.models.attention_bridge import AttentionBridge
from llm_api.engine.models.model_config import ModelConfig


class GeneralModel:
    name = "general"

    def __init__(self, model: torch.nn.Module, shape: KVCacheShape, bridge: AttentionBridge) -> None:
        self.cache_shape = shape
        self._model = model
        self._bridge = bridge

    def logits(self, batch: Batch, attention: AttentionBackend) -> Tensor:
        with self._bridge.to(attention, batch):
            output = self._model(
                input_ids=batch.token_ids.unsqueeze(0),
                position_ids=batch.positions.unsqueeze(0),
                use_cache=False,
                logits_to_keep=batch.logits_rows,
            )
        if len(self._bridge.layers_seen) != self.cache_shape.num_layers:
            # A layer that keeps its own state (Mamba's, say) would mix the sequences of a batch.
            raise EngineError(f"only {len(self._bridge.layers_seen)} of the model's {self.cache_shape.num_layers} layers are attention")
        logits: Tensor = output.logits.squeeze(0).float()
        return logits


def load_general(model_path: Path, config: ModelConfig, dtype: torch.dtype, device: torch.device, allow_remote_code: bool) -> GeneralModel:
    """Raises EngineError for an architecture that transformers, or our attention, does not know."""
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
    except (ValueError, OSError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise EngineError(f"transformers cannot load {model_path}: {reason[:300]}") from error
    shape = KVCacheShape(config.num_layers, config.num_kv_heads, config.head_dim, dtype)
    return GeneralModel(model.eval().to(device), shape, bridge)
