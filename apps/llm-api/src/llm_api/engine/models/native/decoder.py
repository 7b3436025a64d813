"""A Llama-like decoder whose step is one call of the library."""

from ctypes import Array, byref

import numpy as np
import torch
from torch import Tensor

from llm_api.engine.batch import Batch
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.models.decoder_weights import DecoderLayer, DecoderWeights
from llm_api.engine.models.model_config import ModelConfig
from llm_api.engine.models.native import interface
from llm_api.engine.models.native.layout import DTYPES, PackedProduct
from llm_api.engine.models.rope import RotaryEmbedding

LOGITS_KEPT = 64 * 2**20  # bytes; a prompt's logprobs may need more, once


class NativeDecoder:
    """The residual stream, norms, sums and logits are float32; factors and the cache are in the model's dtype.

    A row's result depends on its sequence alone, bit for bit: not on the batch, nor on how its prompt was cut in chunks.
    """

    name = "native"

    def __init__(
        self,
        kernels: interface.Kernels,
        weights: DecoderWeights[PackedProduct, PackedProduct],
        config: ModelConfig,
        shape: KVCacheShape,
        eps: float,
        rope: RotaryEmbedding,
    ) -> None:
        self.cache_shape = shape
        self._kernels = kernels
        self._weights, self._rope = weights, rope  # the structs point into them
        self._layers = (interface.Layer * config.num_layers)(*map(_layer, weights.layers))
        self._model = _model(weights, self._layers, config, shape, eps, rope)
        self._workspace = torch.empty(0, dtype=torch.uint8)
        self._logits = torch.empty(0, weights.head.struct.out_features)

    def bind(self, cache: KVCache, _max_num_seqs: int) -> None:
        self._cache = cache
        self._model.block_size = cache.block_size
        for index, layer in enumerate(self._layers):
            layer.cache = cache.layer(index).data_ptr()

    def logits(self, batch: Batch) -> Tensor:
        threads = torch.get_num_threads()
        starts = np.cumsum([0, *(len(sequence.block_ids) for sequence in batch.sequences)])
        tables = np.fromiter((block for sequence in batch.sequences for block in sequence.block_ids), np.int64, starts[-1])
        row_starts = np.array([sequence.start for sequence in batch.sequences] + [batch.num_rows], np.int64)
        logits = self._logits_for(batch.num_outputs)
        rows = interface.Batch(
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
        workspace = self._workspace_for(self._kernels.workspace_bytes(byref(self._model), rows.rows, rows.outputs, threads))
        self._kernels.step(byref(self._model), byref(rows), workspace.data_ptr(), threads)
        return logits

    def _workspace_for(self, size: int) -> Tensor:
        if self._workspace.numel() < size:
            self._workspace = torch.empty(size, dtype=torch.uint8)
        return self._workspace

    def _logits_for(self, outputs: int) -> Tensor:
        """Kept from step to step: fresh pages for megabytes of logits would cost more than filling them."""
        vocabulary = self._model.vocabulary
        if outputs * vocabulary * 4 > LOGITS_KEPT:
            return torch.empty(outputs, vocabulary)
        if self._logits.shape[0] < outputs:
            self._logits = torch.empty(outputs, vocabulary)
        return self._logits[:outputs]


def _layer(layer: DecoderLayer[PackedProduct]) -> interface.Layer:
    return interface.Layer(
        input_norm=layer.input_norm.data_ptr(),
        qkv=layer.qkv.struct,
        query_norm=None if layer.query_norm is None else layer.query_norm.data_ptr(),
        key_norm=None if layer.key_norm is None else layer.key_norm.data_ptr(),
        output=layer.output.struct,
        post_attention_norm=layer.post_attention_norm.data_ptr(),
        gate_up=layer.gate_up.struct,
        down=layer.down.struct,
        scale=layer.attention.scale,
        window=layer.attention.sliding_window or 0,
    )


def _model(
    weights: DecoderWeights[PackedProduct, PackedProduct],
    layers: "Array[interface.Layer]",
    config: ModelConfig,
    shape: KVCacheShape,
    eps: float,
    rope: RotaryEmbedding,
) -> interface.Model:
    return interface.Model(
        dtype=DTYPES[shape.dtype],
        num_layers=config.num_layers,
        hidden=config.hidden_size,
        intermediate=weights.layers[0].down.struct.in_features,
        heads=config.num_heads,
        kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        vocabulary=weights.head.struct.out_features,
        eps=eps,
        embedding=weights.embedding.data_ptr(),
        cos=rope.cos.data_ptr(),
        sin=rope.sin.data_ptr(),
        layers=layers,
        norm=weights.norm.data_ptr(),
        head=weights.head.struct,
    )
