"""Owns the model, the KV cache and the device; computes a step's chunks into logits."""

from pathlib import Path

import torch
from torch import Tensor

from llm_api.engine.batch import LogitsSpan, build_batch
from llm_api.engine.kv_cache.storage import KVCache
from llm_api.engine.limits import check_weights_fit, choose_block_size, choose_device, choose_dtype, choose_limits, count_blocks
from llm_api.engine.machine import available_cores
from llm_api.engine.messages import EngineConfig
from llm_api.engine.models.load import load_model
from llm_api.engine.models.model_config import read_model_config
from llm_api.engine.preflight import check_settings
from llm_api.engine.sequence import Chunk


class Executor:
    """Loads the model on construction. Raises EngineError when the model cannot be served on this machine."""

    def __init__(self, config: EngineConfig) -> None:
        torch.set_num_threads(config.num_threads or available_cores())
        self.model_config = read_model_config(Path(config.model_path), allow_remote_code=config.allow_remote_code)
        check_settings(config, self.model_config)
        self.device = choose_device(config.device)
        self.dtype = choose_dtype(config.dtype)
        limits = choose_limits(config, self.model_config, self.device)
        check_weights_fit(config, self.model_config, self.dtype, self.device)
        block_size = choose_block_size(config, self.model_config, self.dtype, self.device)
        self.model = load_model(self.model_config, config, block_size, limits.max_model_len, self.dtype, self.device)
        num_blocks = count_blocks(config, limits, self.model.cache_shape, block_size, self.device)
        self.cache = KVCache(self.model.cache_shape, num_blocks, block_size, self.device)
        self.model.bind(self.cache, limits.max_num_seqs)
        self.tokenizer_file = Path(config.model_path) / "tokenizer.json"
        self.end_token_ids = self.model_config.eos_token_ids.union(config.end_token_ids)
        self.max_num_seqs = limits.max_num_seqs
        self.max_num_batched_tokens = max(limits.max_num_batched_tokens, limits.max_num_seqs)
        self.step_time_target = config.step_time_target
        self.max_model_len = min(limits.max_model_len, num_blocks * block_size)

    @torch.inference_mode()
    def run(self, chunks: list[Chunk]) -> tuple[Tensor, list[LogitsSpan]]:
        """Writes the chunks' keys and values to the cache. Returns float32 logits [outputs, vocabulary] and each chunk's span of them."""
        batch, spans = build_batch(chunks, self.cache.block_size, self.device)
        logits = self.model.logits(batch)
        return logits[: spans[-1].end if spans else 0], spans
