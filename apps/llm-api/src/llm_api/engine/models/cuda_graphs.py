"""Decode steps as CUDA graphs: one launch per step instead of about twenty per layer. They have not run on a GPU yet.

A graph replays its kernels on the memory addresses that it was captured with. A step's inputs are therefore copied to the graph's
input buffers, and there is one graph per padded row count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog
import torch
from torch import Tensor
from torch.nn.functional import pad

from llm_api.engine.attention.backend import StepAttention, clear_new_partial_blocks, fill_block_tables
from llm_api.engine.attention.paged import PagedAttention, PagedRows
from llm_api.engine.batch import Batch, padded
from llm_api.engine.errors import shortened
from llm_api.engine.kv_cache.storage import KVCache

log = structlog.get_logger()

SMALLEST_VOCABULARY = 256  # of a byte-level tokenizer
WARM_UPS = 2  # before a capture: libraries create plans and workspaces on their first calls
TOLERANCE = 1e-2  # absolute, between the logits of a graph and of the same kernels launched one by one

Forward = Callable[[Tensor, Tensor, StepAttention], Tensor]  # token ids [rows], positions [rows]: logits [rows, vocabulary]


@dataclass(frozen=True, slots=True)
class Captured:
    replay: Callable[[], None]
    logits: Tensor  # [rows, vocabulary], written by `replay`


Capture = Callable[[Callable[[], Tensor]], Captured]


class CudaCapture:
    """Captures CUDA graphs that share a memory pool, because only one of them runs at a time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Callable[[], Tensor]) -> Captured:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                compute()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits = compute()
        return Captured(graph.replay, logits)


class DecodeInputs:
    """The graphs' input buffers. Padding rows decode token 0 at position 0, in the cache's padding block."""

    def __init__(self, rows: int, blocks: int, padding_block: int, device: torch.device) -> None:
        self.token_ids = torch.zeros(rows, dtype=torch.int64, device=device)
        self.positions = torch.zeros(rows, dtype=torch.int64, device=device)
        self.block_tables = torch.full((rows, blocks), padding_block, dtype=torch.int32, device=device)
        self._staged = np.full((rows, blocks), padding_block, np.int32)
        self._padding_block = padding_block

    def fill(self, batch: Batch) -> None:
        """Copies a batch to the buffers. The GPU is idle when a step begins, so copies from unpinned memory delay nothing."""
        rows, staged = len(batch.token_ids), self._staged
        staged[batch.num_rows : rows, 0] = self._padding_block
        fill_block_tables(batch.sequences, staged)
        self.token_ids[:rows].copy_(batch.token_ids)
        self.positions[:rows].copy_(batch.positions)
        self.block_tables[:rows].copy_(torch.from_numpy(staged[:rows]))

    def fill_trial(self, rows: int, cache: KVCache) -> list[int]:
        """Fills in different tokens and positions, each row with its own slot while the cache has slots. Returns the blocks used."""
        own = torch.arange(rows, device=cache.device) % (cache.num_blocks * cache.block_size)
        self.token_ids[:rows].copy_(own % SMALLEST_VOCABULARY)
        self.positions[:rows].copy_(own % cache.block_size)
        self.block_tables[:rows, 0].copy_(own // cache.block_size)
        return sorted(set((own // cache.block_size).tolist()))


class DecodeGraphs:
    def __init__(self, forward: Forward, attention: PagedAttention, capture: Capture, max_rows: int, max_context: int) -> None:
        """Captures graphs, in seconds, for up to `max_rows` sequences of up to `max_context` tokens. Raises what `capture` raises."""
        self._forward = forward
        self._attention = attention
        self._logits: Tensor | None = None  # shared by all graphs, to save megabytes per graph
        cache = attention.cache
        # The largest comes first: it determines the size of the shared memory.
        counts = sorted({padded(rows) for rows in range(1, max_rows + 1)}, reverse=True)
        self._inputs = DecodeInputs(counts[0], -(-max_context // cache.block_size), cache.padding_block, cache.device)
        with torch.inference_mode():
            self._graphs = {rows: capture(partial(self._compute, rows)) for rows in counts}

    def can_run(self, batch: Batch) -> bool:
        """Whether the batch decodes one token of every sequence and needs all logits."""
        return len(batch.token_ids) in self._graphs and len(batch.sequences) == batch.num_rows == batch.num_outputs

    def logits(self, batch: Batch) -> Tensor:
        clear_new_partial_blocks(self._attention.cache, batch)
        self._inputs.fill(batch)
        graph = self._graphs[len(batch.token_ids)]
        graph.replay()
        return graph.logits

    @torch.inference_mode()
    def agree(self) -> bool:
        """Whether the graphs and the same kernels without graphs give equal logits, for inputs other than the captured ones."""
        for rows, graph in self._graphs.items():
            used = self._inputs.fill_trial(rows, self._attention.cache)
            expected = self._compute(rows).clone()
            self._attention.cache.clear(used)
            graph.replay()
            same = torch.allclose(graph.logits, expected, rtol=0, atol=TOLERANCE)
            self._attention.cache.clear(used)
            if not same:
                return False
        return True

    def _compute(self, rows: int) -> Tensor:
        """Reads only the input buffers. No operation here may synchronise with the device."""
        positions, tables = self._inputs.positions[:rows], self._inputs.block_tables[:rows]
        block_size = self._attention.cache.block_size
        blocks = tables.gather(1, (positions // block_size).unsqueeze(1)).squeeze(1)
        contexts = (positions + 1).int()
        paged = PagedRows(
            slots=blocks * block_size + positions % block_size,
            row_starts=torch.arange(rows + 1, dtype=torch.int32, device=positions.device),
            context_lens=contexts,
            context_starts=pad(contexts.cumsum(0, dtype=torch.int32), (1, 0)),
            block_tables=tables,
            longest_run=1,
        )
        logits = self._forward(self._inputs.token_ids[:rows], positions, self._attention.over(paged))
        if self._logits is None:
            self._logits = torch.empty_like(logits)  # the first count is the largest
        return self._logits[:rows].copy_(logits)


def capture_decode(
    forward: Forward, attention: PagedAttention, max_rows: int, max_context: int, capture: Callable[[], Capture] = CudaCapture
) -> DecodeGraphs | None:
    """Returns None and logs the reason where graphs do not work. Steps then launch their kernels one by one."""
    try:
        graphs = DecodeGraphs(forward, attention, capture(), max_rows, max_context)
        if graphs.agree():
            return graphs
        reason = "their logits differ from the model's"
    except Exception as error:
        reason = shortened(error)
    log.warning("decode steps run without CUDA graphs, which is slower", reason=reason)
    return None
