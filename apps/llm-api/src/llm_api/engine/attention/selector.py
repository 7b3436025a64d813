"""Selects the attention backend for models that run on torch's operators."""

import structlog
import torch
from torch import Tensor

from llm_api.engine.attention.backend import AttentionBackend, AttentionOptions
from llm_api.engine.attention.paged import BLOCK_MULTIPLE, PagedAttention, can_page
from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.batch import Batch, SequenceRows, slots_of
from llm_api.engine.errors import shortened
from llm_api.engine.kv_cache.storage import KVCache

log = structlog.get_logger()

TOLERANCE = 0.02  # absolute and relative; bfloat16 has 8 significant bits
SMALL_WINDOW = 5


def select_attention(cache: KVCache, num_heads: int, has_windows: bool) -> AttentionBackend:
    """Paged attention if its kernel is available and agrees with torch's plain attention, else plain attention.

    `has_windows`: some layers have a sliding window.
    """
    if not can_page(cache.device, cache.shape.dtype, cache.shape.head_dim):
        return SdpaAttention(cache)
    if cache.block_size % BLOCK_MULTIPLE:
        _reject(f"BLOCK_SIZE={cache.block_size} is not a multiple of {BLOCK_MULTIPLE}")
        return SdpaAttention(cache)
    from torch.nn.attention.varlen import varlen_attn  # takes seconds to import

    paged, plain = PagedAttention(cache, varlen_attn), SdpaAttention(cache)
    return paged if agrees(paged, plain, cache, num_heads, has_windows) else plain


def agrees(paged: AttentionBackend, plain: AttentionBackend, cache: KVCache, num_heads: int, has_windows: bool) -> bool:
    """Compares both backends on small steps. Logs the reason if the paged one cannot be used on this machine."""
    decoding, mixed = SequenceRows(0, 1, [cache.padding_block, 0], cache.block_size + 2), SequenceRows(1, 4, [cache.padding_block], 10)
    try:
        for window in (None, SMALL_WINDOW) if has_windows else (None,):
            for sequences in ([decoding], [decoding, mixed]):
                actual, expected = (_try(backend, cache, num_heads, sequences, window) for backend in (paged, plain))
                if not torch.allclose(actual, expected, rtol=TOLERANCE, atol=TOLERANCE):
                    return _reject(f"the kernel's result differs by {float((actual - expected).abs().max()):.3g}")
    except Exception as error:
        return _reject(f"the kernel fails on this machine: {shortened(error)}")
    return True


def _reject(reason: str) -> bool:
    log.warning("using plain attention, which is slower than paged attention", reason=reason)
    return False


def _try(attention: AttentionBackend, cache: KVCache, num_heads: int, sequences: list[SequenceRows], window: int | None) -> Tensor:
    """Uses the same random numbers every time. Writes to two blocks, which every cache has, and zeroes them again."""
    shape, device, blocks = cache.shape, cache.device, [0, cache.padding_block]
    generator = torch.Generator().manual_seed(0)

    def random(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(device, shape.dtype)

    def slots(sequence: SequenceRows) -> list[int]:
        positions = range(sequence.context_len - (sequence.end - sequence.start), sequence.context_len)
        return slots_of(sequence.block_ids, positions, cache.block_size)

    rows = torch.tensor([slot for sequence in sequences for slot in slots(sequence)], device=device)
    batch = Batch(token_ids=rows, positions=rows, slots=rows, sequences=sequences, logits_rows=rows, num_outputs=0)
    try:
        cache.layer(0)[blocks] = random(len(blocks), cache.block_size, 2, shape.num_kv_heads, shape.head_dim)
        query, key_values = random(len(rows), num_heads, shape.head_dim), random(len(rows), 2, shape.num_kv_heads, shape.head_dim)
        return attention.step(batch).attend(0, query, key_values, AttentionOptions(shape.head_dim**-0.5, window)).float()
    finally:
        cache.clear(blocks)
