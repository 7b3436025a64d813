"""RUNNER=native: a decoder of any family of ours on CPUs. A step is one call of the C++ library."""

from ctypes import byref

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.batch import Batch
from llm_api.engine.errors import EngineError
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.models.decoder_weights import DecoderWeights
from llm_api.engine.models.families.parts import Experts
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native import bindings
from llm_api.engine.models.native.layout import DTYPES, PackedLinear
from llm_api.engine.models.native.structs import ModelStructs

LOGITS_BUFFER_LIMIT = 64 * 2**20  # bytes; prompt logprobs can need more for a single step
LANES = 16  # float32 values of the widest vectors (simd.h); attention.h computes as many keys at once


class NativeDecoder:
    """The residual stream, norms, accumulators and logits are float32; the inputs of products and the cache use the model's dtype.

    The result of a row is bitwise reproducible: it depends on its sequence only, not on the batch or on the chunks of its prompt.
    """

    name = "native"

    def __init__(
        self,
        kernels: bindings.Kernels,
        weights: DecoderWeights[PackedLinear, PackedLinear],
        config: ModelConfig,
        shape: KVCacheShape,
    ) -> None:
        self.cache_shape = shape
        self._kernels = kernels
        self._structs = ModelStructs(weights, config, shape.dtype)
        self._model = self._structs.model
        self._workspace = torch.empty(0, dtype=torch.uint8)
        self._logits = torch.empty(0, weights.head.struct.out_features)

    def bind(self, cache: KVCache, _max_num_seqs: int) -> None:
        """Raises EngineError if the library finds that the sizes of the model are at odds."""
        self._cache = cache
        self._structs.use_cache(cache)
        error: bytes | None = self._kernels.check(byref(self._model))
        if error is not None:
            raise EngineError(f"the native runner cannot compute the model: {error.decode()}")

    def logits(self, batch: Batch) -> Tensor:
        threads = torch.get_num_threads()
        starts = np.cumsum([0, *(len(sequence.block_ids) for sequence in batch.sequences)])
        tables = np.fromiter((block for sequence in batch.sequences for block in sequence.block_ids), np.int64, starts[-1])
        row_starts = np.array([sequence.start for sequence in batch.sequences] + [batch.num_rows], np.int64)
        logits = self._logits_for(batch.num_outputs)
        rows = bindings.BatchStruct(
            rows=batch.num_rows,
            sequences=len(batch.sequences),
            outputs=batch.num_outputs,
            token_ids=batch.token_ids.data_ptr(),
            positions=batch.positions.data_ptr(),
            slots=batch.slots.data_ptr(),
            row_starts=row_starts.ctypes.data,
            block_tables=tables.ctypes.data,
            table_starts=starts.ctypes.data,
            logits_rows=batch.logits_rows.data_ptr(),
            logits=logits.data_ptr(),
        )
        workspace = self._workspace_for(self._kernels.workspace_bytes(byref(self._model), rows.rows, threads))
        error: bytes | None = self._kernels.step(byref(self._model), byref(rows), workspace.data_ptr(), threads)
        if error is not None:
            raise RuntimeError(f"the native runner refuses a step: {error.decode()}")
        return logits

    def _workspace_for(self, size: int) -> Tensor:
        if self._workspace.numel() < size:
            self._workspace = torch.empty(size, dtype=torch.uint8)
        return self._workspace

    def _logits_for(self, outputs: int) -> Tensor:
        """Reuses one buffer: page faults on megabytes of new memory would cost more than writing the logits."""
        vocabulary = self._model.vocabulary
        if outputs * vocabulary * 4 > LOGITS_BUFFER_LIMIT:
            return torch.empty(outputs, vocabulary)
        if self._logits.shape[0] < outputs:
            self._logits = torch.empty(outputs, vocabulary)
        return self._logits[:outputs]


def unsupported_reason(
    config: ModelConfig, block_size: int, dtype: torch.dtype, device: torch.device, kernels: bindings.Kernels | None
) -> str | None:
    """Why the library cannot compute the model on this machine. None: it can."""
    if device.type != "cpu":
        return "it supports CPUs only"
    if kernels is None:
        return "this installation was built without a C++ compiler: install g++ and reinstall"
    return _unsupported_shape(config, block_size, dtype)


def _unsupported_shape(config: ModelConfig, block_size: int, dtype: torch.dtype) -> str | None:
    if dtype not in DTYPES:
        return f"it supports bfloat16 and float32, not {str(dtype).removeprefix('torch.')}"
    if config.head_dim % LANES:
        return f"the head dimension {config.head_dim} is not a multiple of {LANES}"
    if block_size % LANES:
        return f"BLOCK_SIZE={block_size} is not a multiple of {LANES}"
    if any(size % 2 for size in (config.hidden_size, *_inner_sizes(config))):
        return "the hidden and the intermediate size must be even"
    return None


def _inner_sizes(config: ModelConfig) -> set[int]:
    """Those of all MLPs."""
    parts = [layer.feed_forward for layer in config.parts().layers]
    return {mlp.inner for part in parts for mlp in (part.experts if isinstance(part, Experts) else (part,))}
