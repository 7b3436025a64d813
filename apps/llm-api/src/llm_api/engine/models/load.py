"""Chooses the path that computes a model."""

from pathlib import Path

import structlog
import torch

from llm_api.engine.errors import EngineError
from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.messages import EngineConfig
from llm_api.engine.models.checkpoint import Checkpoint, open_checkpoint
from llm_api.engine.models.decoder_weights import read_decoder
from llm_api.engine.models.fast_path import has_fast_path, takes_fast_path
from llm_api.engine.models.model import Model
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native.decoder import NativeDecoder
from llm_api.engine.models.native.interface import Kernels
from llm_api.engine.models.native.layout import NativeLayout
from llm_api.engine.models.native.library import load_kernels
from llm_api.engine.models.native.requirements import why_not
from llm_api.engine.models.rope import RotaryEmbedding, rope_parameters
from llm_api.engine.models.torch_decoder import TorchDecoder, TorchLayout

log = structlog.get_logger()

DEFAULT_RMS_NORM_EPS = 1e-6  # transformers', for configurations that leave it out


def load_model(
    config: ModelConfig, settings: EngineConfig, block_size: int, max_model_len: int, dtype: torch.dtype, device: torch.device
) -> Model:
    """`settings.runner`: auto takes the fastest path that there is for the model here; native, torch and general are those paths.

    Raises EngineError.
    """
    runner, model_path = settings.runner, Path(settings.model_path)
    if runner in {"native", "torch"} and not has_fast_path(config):
        raise EngineError(f"RUNNER={runner} knows Llama, Mistral, Qwen2 and Qwen3, not {config.model_type}: set RUNNER=auto or general")
    if not takes_fast_path(config, runner):
        _refuse_quantization(settings, f"{config.model_type} runs on the general one with RUNNER={runner}")
        # transformers takes seconds to import: not where a fast path serves.
        from llm_api.engine.models.general import load_general

        return load_general(model_path, config, dtype, device, settings.allow_remote_code, max_model_len)
    if runner == "torch":
        _refuse_quantization(settings, "this is RUNNER=torch")
    kernels = None if runner == "torch" else _native_kernels(config, settings, block_size, dtype, device)
    layout = None if kernels is None else NativeLayout(kernels, settings.quantization)
    with open_checkpoint(model_path, dtype, device) as checkpoint:
        return _read(checkpoint, config, max_model_len, dtype, device, layout)


def _native_kernels(
    config: ModelConfig, settings: EngineConfig, block_size: int, dtype: torch.dtype, device: torch.device
) -> Kernels | None:
    kernels = load_kernels()
    reason = why_not(config, block_size, dtype, device, kernels)
    if reason is None:
        return kernels
    if settings.runner == "native":
        raise EngineError(f"RUNNER=native does not work here: {reason}")
    _refuse_quantization(settings, f"that does not work here: {reason}")
    if device.type == "cpu":
        log.warning("the fast path runs on torch's operators, which are slower", reason=reason)
    return None


def _refuse_quantization(settings: EngineConfig, reason: str) -> None:
    if settings.quantization != "none":
        raise EngineError(f"QUANTIZATION={settings.quantization} is for the native runner alone, and {reason}: set QUANTIZATION=none")


def _read(
    checkpoint: Checkpoint, config: ModelConfig, max_model_len: int, dtype: torch.dtype, device: torch.device, layout: NativeLayout | None
) -> Model:
    rope = RotaryEmbedding(rope_parameters(config.raw), config.head_dim, max_model_len, device)
    shape = KVCacheShape(config.num_layers, config.num_kv_heads, config.head_dim, dtype)
    eps = config.raw.get("rms_norm_eps", DEFAULT_RMS_NORM_EPS)
    if layout is not None:
        return NativeDecoder(layout.kernels, read_decoder(checkpoint, config, layout), config, shape, eps, rope)
    return TorchDecoder(read_decoder(checkpoint, config, TorchLayout()), shape, config.num_heads, eps, rope)
