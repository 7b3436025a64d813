"""What the engine would do with a model, without reading a weight: `llm-api check`."""

from pathlib import Path

import msgspec
import torch

from llm_api.engine.kv_cache.storage import KVCacheShape
from llm_api.engine.limits import (
    check_weights_fit,
    choose_block_size,
    choose_device,
    choose_dtype,
    choose_limits,
    count_blocks,
    weights_memory,
)
from llm_api.engine.machine import available_memory
from llm_api.engine.messages import EngineConfig
from llm_api.engine.models.decoder_shapes import check_shapes
from llm_api.engine.models.headers import read_headers
from llm_api.engine.models.model_config import ModelConfig, read_model_config
from llm_api.engine.models.runner import Runner, choose_runner
from llm_api.engine.preflight import check_settings


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes are in bytes, lengths in tokens."""

    architecture: str  # model_type of config.json
    runner: str
    not_native: str | None  # why this machine has to use the torch runner
    device: str
    dtype: str
    vocabulary: int
    weights_memory: int
    kv_cache_memory: int
    kv_cache_memory_per_1000_tokens: int
    available_memory: int
    kv_cache_tokens: int
    model_context: int  # as config.json has it
    context: int  # with MAX_MODEL_LEN and this KV cache
    end_token_ids: list[int]

    @property
    def total_memory(self) -> int:
        return self.weights_memory + self.kv_cache_memory


def report(config: EngineConfig) -> EngineReport:
    """Makes the same choices as Executor. Raises EngineError and SettingRefused as it does."""
    model = read_model_config(Path(config.model_path), allow_remote_code=config.allow_remote_code)
    check_settings(config, model)
    device, dtype = choose_device(config.device), choose_dtype(config.dtype)
    limits = choose_limits(config, model, device)
    check_weights_fit(config, model, dtype, device)
    block_size = choose_block_size(config, model, dtype, device)
    runner = choose_runner(model, config, block_size, dtype, device)
    shape = _checked_shape(config, model, runner, dtype, limits.max_model_len)
    weights = weights_memory(config, model, dtype)
    blocks = count_blocks(config, limits, shape, block_size, device, weights_to_come=weights)
    return EngineReport(
        architecture=model.model_type,
        runner=runner.name,
        not_native=runner.not_native,
        device=str(device),
        dtype=str(dtype).removeprefix("torch."),
        vocabulary=model.vocab_size,
        weights_memory=weights,
        kv_cache_memory=blocks * block_size * shape.bytes_per_token,
        kv_cache_memory_per_1000_tokens=1000 * shape.bytes_per_token,
        available_memory=available_memory() if device.type == "cpu" else torch.cuda.mem_get_info(device)[0],
        kv_cache_tokens=blocks * block_size,
        model_context=model.max_position_embeddings,
        context=min(limits.max_model_len, blocks * block_size),
        end_token_ids=sorted(model.eos_token_ids.union(config.end_token_ids)),
    )


def _checked_shape(config: EngineConfig, model: ModelConfig, runner: Runner, dtype: torch.dtype, max_model_len: int) -> KVCacheShape:
    """The size of a token in the KV cache. Compares the tensors first."""
    path = Path(config.model_path)
    if runner.name != "general":
        check_shapes(read_headers(path), model)
        return KVCacheShape(model.num_layers, model.num_kv_heads, model.head_dim, dtype)
    from llm_api.engine.models.general_shapes import check_general, expected_cache_shape  # transformers takes seconds to import

    check_general(path, model, dtype, config.allow_remote_code, max_model_len)
    return expected_cache_shape(model, dtype)
