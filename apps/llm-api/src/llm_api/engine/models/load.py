"""Loads a model with the implementation that computes it: native, torch or general."""

from pathlib import Path
from typing import Protocol

import structlog
import torch
from torch import Tensor

from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.messages import EngineConfig
from llm_api.engine.models.checkpoint import Checkpoint, open_checkpoint
from llm_api.engine.models.decoder_weights import read_decoder
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native.decoder import NativeDecoder
from llm_api.engine.models.native.layout import NativeLayout
from llm_api.engine.models.runner import choose_runner
from llm_api.engine.models.torch_decoder import TorchDecoder, TorchLayout

log = structlog.get_logger()


class Model(Protocol):
    """The interface between the executor and a model."""

    name: str  # native, torch or general
    cache_shape: KVCacheShape

    def bind(self, cache: KVCache, max_num_seqs: int, /) -> None:
        """Sets the KV cache and the most sequences of a step. Called once, before the first step.

        The cache is created after the model is loaded: its size depends on the memory that is left.
        """
        ...

    def logits(self, batch: Batch) -> Tensor:
        """Computes a step. Float32 [outputs, vocabulary] for `batch.logits_rows`, with or without padding; valid until the next call."""
        ...


def load_model(
    config: ModelConfig, settings: EngineConfig, block_size: int, max_model_len: int, dtype: torch.dtype, device: torch.device
) -> Model:
    """RUNNER=auto uses the fastest implementation that supports the model on this machine.

    Raises EngineError when the model cannot be loaded with these settings.
    """
    model_path, runner = Path(settings.model_path), choose_runner(config, settings, block_size, dtype, device)
    if runner.name == "general":
        # transformers takes seconds to import, so only where it is needed.
        from llm_api.engine.models.general import load_general
        from llm_api.engine.models.general_shapes import check_general

        check_general(model_path, config, dtype, settings.allow_remote_code, max_model_len)
        return load_general(model_path, config, dtype, device, settings.allow_remote_code, max_model_len)
    if runner.not_native and device.type == "cpu":
        log.warning("using the torch runner, which is slower than the native runner", reason=runner.not_native)
    layout = None if runner.kernels is None else NativeLayout(runner.kernels, settings.quantization)
    with open_checkpoint(model_path, dtype, device) as checkpoint:
        return _read(checkpoint, config, max_model_len, dtype, layout)


def _read(checkpoint: Checkpoint, config: ModelConfig, max_model_len: int, dtype: torch.dtype, layout: NativeLayout | None) -> Model:
    shape = KVCacheShape(config.num_layers, config.num_kv_heads, config.head_dim, dtype)
    if layout is not None:
        return NativeDecoder(layout.kernels, read_decoder(checkpoint, config, layout, max_model_len), config, shape)
    return TorchDecoder(read_decoder(checkpoint, config, TorchLayout(), max_model_len), shape, config.num_heads)
