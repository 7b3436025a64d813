"""Chooses the attention of the path that runs on torch's operators."""

import structlog
import torch
from torch import Tensor

from llm_api.engine.attention.backend import AttentionBackend, AttentionOptions
from llm_api.engine.attention.flash import BLOCK_MULTIPLE, can_page
from llm_api.engine.attention.paged import PagedAttention
from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.batch import Batch, SequenceRows, slots_of
from llm_api.engine.errors import shortened
from llm_api.engine.kv_cache.storage import KVCache

log = structlog.get_logger()

TOLERANCE = 0.02  # absolute and relative: bfloat16 keeps 8 bits
SMALL_WINDOW = 5


def choose_attention(cache: KVCache, num_heads: int, has_windows: bool) -> AttentionBackend:
    """Paged where a kernel for it is at hand and gives what torch's plain attention gives; else that one.

    `has_windows`: some layers have a sliding window.
    """
    if not can_page(cache.device, cache.shape.dtype, cache.shape.head_dim):
        return SdpaAttention(cache)
    if cache.block_size % BLOCK_MULTIPLE:
        _refused(f"BLOCK_SIZE={cache.block_size} is not a multiple of {BLOCK_MULTIPLE}")
        return SdpaAttention(cache)
    from torch.nn.attention.varlen import varlen_attn  # takes seconds to import

    paged, plain = PagedAttention(cache, varlen_attn), SdpaAttention(cache)
    return paged if agrees(paged, plain, cache, num_heads, has_windows) else plain


def agrees(paged: AttentionBackend, plain: AttentionBackend, cache: KVCache, num_heads: int, has_windows: bool) -> bool:
    """Tries both on small steps. Logs why, where the first cannot be trusted on this machine."""
    decoding, mixed = SequenceRows(0, 1, [cache.padding_block, 0], cache.block_size + 2), SequenceRows(1, 4, [cache.padding_block], 10)
    try:
        for window in (None, SMALL_WINDOW) if has_windows else (None,):
            for sequences in ([decoding], [decoding, mixed]):
                given, expected = (_try(way, cache, num_heads, sequences, window) for way in (paged, plain))
                if not torch.allclose(given, expected, rtol=TOLERANCE, atol=TOLERANCE):
                    return _refused(f"the kernel's result is off by {float((given - expected).abs().max()):.3g}")
    except Exception as error:
        return _refused(f"the kernel does not run here: {shortened(error)}")
    return True


def _refused(reason: str) -> bool:
    log.warning("attention is not paged, which is slower", reason=reason)
    return False


def _try(attention: AttentionBackend, cache: KVCache, num_heads: int, sequences: list[SequenceRows], window: int | None) -> Tensor:
    """The same random numbers each time. Two blocks, which any cache has, are written, and clean again after it."""
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
