"""What the library computes, and what it leaves to torch's operators."""

import torch

from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native.interface import Kernels
from llm_api.engine.models.native.layout import DTYPES

LANES = 16  # of the widest vectors (simd.h); keys are compared as many at a time (attention.h)


def why_not(config: ModelConfig, block_size: int, dtype: torch.dtype, device: torch.device, kernels: Kernels | None) -> str | None:
    """None when the library can serve the model here, else the reason for people."""
    if device.type != "cpu":
        return "it is for CPUs"
    if kernels is None:
        return "this installation was built without a C++ compiler: install g++ and build it again"
    return _unsuitable(config, block_size, dtype)


def _unsuitable(config: ModelConfig, block_size: int, dtype: torch.dtype) -> str | None:
    if dtype not in DTYPES:
        return f"it knows bfloat16 and float32, not {str(dtype).removeprefix('torch.')}"
    if config.head_dim % LANES:
        return f"heads of {config.head_dim} are not a multiple of {LANES}"
    if block_size % LANES:
        return f"BLOCK_SIZE={block_size} is not a multiple of {LANES}"
    if config.hidden_size % 2 or config.raw["intermediate_size"] % 2:
        return "the hidden and intermediate sizes must be even"
    return None
