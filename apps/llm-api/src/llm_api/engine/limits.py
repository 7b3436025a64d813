"""Chooses defaults from the model and the hardware, and checks that the settings can be met."""

from dataclasses import dataclass
from pathlib import Path

import torch

from llm_api.engine.attention.paged import can_page, default_block_size
from llm_api.engine.errors import SettingRefused
from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.machine import available_memory
from llm_api.engine.messages import EngineConfig
from llm_api.engine.models.headers import CheckpointSize, read_headers
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native.quantize import BITS, GROUP

MIB = 1024**2
GIB = 1024**3
MAX_CPU_CACHE = 4 * GIB
SHARE_OF_FREE_MEMORY = 0.4  # on a CPU, which other processes use too
SHARE_OF_GPU_MEMORY = 0.9
GROUP_BITS = 2 * 16  # a group's float16 scale and minimum


@dataclass(frozen=True, slots=True)
class Limits:
    max_num_seqs: int
    max_num_batched_tokens: int
    max_model_len: int  # before the KV cache's size is known


def choose_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingRefused("DEVICE=cuda, but torch finds no GPU: check the driver, or set DEVICE=cpu")
    return torch.device(name)


def choose_dtype(name: str) -> torch.dtype:
    chosen: torch.dtype = getattr(torch, "bfloat16" if name == "auto" else name)
    return chosen


def choose_limits(config: EngineConfig, model: ModelConfig, device: torch.device) -> Limits:
    on_gpu = device.type == "cuda"
    return Limits(
        max_num_seqs=config.max_num_seqs or (256 if on_gpu else 16),
        max_num_batched_tokens=config.max_num_batched_tokens or (8192 if on_gpu else 512),
        max_model_len=config.max_model_len or model.max_position_embeddings,
    )


def choose_block_size(config: EngineConfig, model: ModelConfig, dtype: torch.dtype, device: torch.device) -> int:
    """BLOCK_SIZE, or 256 where the torch decoder can use paged attention, which needs it, and 16 elsewhere."""
    pages = model.uses_fast_path(config.runner) and can_page(device, dtype, model.head_dim)
    return config.block_size or default_block_size(pages=pages)


def check_weights_fit(config: EngineConfig, model: ModelConfig, dtype: torch.dtype, device: torch.device) -> None:
    """Raises SettingRefused before the machine swaps or the kernel kills the process."""
    if device.type != "cpu":
        return
    needed, available = weights_memory(config, model, dtype), available_memory()
    if needed > available:
        raise SettingRefused(
            f"the weights need {readable(needed)} of memory, but {readable(available)} are available:"
            " raise the memory limit or use a smaller model"
        )


def weights_memory(config: EngineConfig, model: ModelConfig, dtype: torch.dtype) -> int:
    """Bytes of the weights in memory, from the headers of their files."""
    stored = read_headers(Path(config.model_path)).size()
    if model.uses_fast_path(config.runner):  # reads weights of 4 bits into the dtype; counts their scales too, a sixteenth
        stored = CheckpointSize(stored.weights + 2 * stored.packed, 0)
    embedding = min(model.vocab_size * model.hidden_size, stored.weights)  # never quantized
    bits = BITS[config.quantization] + GROUP_BITS // GROUP if config.quantization in BITS else 8 * dtype.itemsize
    return embedding * dtype.itemsize + (stored.weights - embedding) * bits // 8 + stored.packed


def count_blocks(
    config: EngineConfig, limits: Limits, shape: KVCacheShape, block_size: int, device: torch.device, weights_to_come: int = 0
) -> int:
    """Blocks of the KV cache that fit KV_CACHE_MEMORY; by default, those that fit the free memory, up to the most that can be used.

    `weights_to_come`: bytes of weights that are not loaded yet.
    Raises SettingRefused when one sequence of MAX_MODEL_LEN tokens does not fit; if that is not set, when one block does not fit.
    """
    bytes_per_block = shape.bytes_per_token * block_size
    useful = limits.max_num_seqs * -(-limits.max_model_len // block_size)
    memory = config.kv_cache_memory
    if memory is None:
        memory = min(_free_memory(device, weights_to_come), useful * bytes_per_block)
    blocks = memory // bytes_per_block
    needed = -(-(config.max_model_len or block_size) // block_size)
    if blocks < needed:
        raise SettingRefused(
            f"the KV cache has {readable(memory)}, but {needed * block_size} tokens need"
            f" {readable(needed * bytes_per_block)}: raise KV_CACHE_MEMORY or lower MAX_MODEL_LEN"
        )
    return blocks


def _free_memory(device: torch.device, weights_to_come: int) -> int:
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return int(free - weights_to_come - (1 - SHARE_OF_GPU_MEMORY) * total)
    return min(int((available_memory() - weights_to_come) * SHARE_OF_FREE_MEMORY), MAX_CPU_CACHE)


def readable(size: int) -> str:
    return f"{size / GIB:.2f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"
