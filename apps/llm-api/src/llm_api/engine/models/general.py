"""The general path: any AutoModelForCausalLM, unmodified, with our attention and cache under it."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM
from transformers.utils import logging

from llm_api.engine.attention.backend import AttentionBackend, AttentionOptions
from llm_api.engine.batch import Batch
from llm_api.engine.errors import EngineError
from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.models.model_config import ModelConfig

ATTENTION = "llm_api"


class GeneralModel:
    """The batch travels to the attention layers as keyword arguments, the way transformers' own paged attention does it."""

    name = "general"

    def __init__(self, model: torch.nn.Module, shape: KVCacheShape) -> None:
        self.cache_shape = shape
        self._model = model

    def logits(self, batch: Batch, attention: AttentionBackend) -> Tensor:
        output = self._model(
            input_ids=batch.token_ids.unsqueeze(0),
            position_ids=batch.positions.unsqueeze(0),
            use_cache=False,
            logits_to_keep=batch.logits_rows,
            llm_api_batch=batch,
            llm_api_attention=attention,
        )
        logits: Tensor = output.logits.squeeze(0).float()
        return logits


def load_general(model_path: Path, config: ModelConfig, dtype: torch.dtype, device: torch.device, allow_remote_code: bool) -> GeneralModel:
    """Raises EngineError for an architecture that transformers, or our attention, does not know."""
    logging.disable_progress_bar()
    AttentionInterface.register(ATTENTION, _attend)
    AttentionMaskInterface.register(ATTENTION, _no_mask)
    try:
        model = AutoModelForCausalLM.from_pretrained(
            model_path,
            dtype=dtype,
            attn_implementation=ATTENTION,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=allow_remote_code,
        )
    except (ValueError, OSError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise EngineError(f"transformers cannot load {model_path}: {reason[:300]}") from error
    shape = KVCacheShape(config.num_layers, config.num_kv_heads, config.head_dim, dtype)
    return GeneralModel(model.eval().to(device), shape)


def _attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    *,
    llm_api_batch: Batch,
    llm_api_attention: AttentionBackend,
    **options: Any,
) -> tuple[Tensor, None]:
    """transformers' signature: query [1, heads, rows, head dim], key and value [1, kv heads, rows, head dim]."""
    unsupported = [name for name in ("softcap", "s_aux", "position_bias") if options.get(name) is not None]
    if unsupported or key.shape != value.shape:
        raise EngineError(f"attention of {type(module).__name__} needs {unsupported or 'keys and values that differ'}")
    key_values = torch.stack((key.squeeze(0), value.squeeze(0))).permute(2, 0, 1, 3).contiguous()
    scale = scaling if scaling is not None else query.shape[-1] ** -0.5
    rows = query.squeeze(0).transpose(0, 1).contiguous()
    layer: int = module.layer_idx  # type: ignore[assignment]
    attended = llm_api_attention.attend(layer, rows, key_values, llm_api_batch, AttentionOptions(scale, sliding_window))
    return attended.unsqueeze(0), None


def _no_mask(*_args: Any, **_options: Any) -> None:
    """Our attention knows from the batch who may see what."""
