"""Chooses the attention of the paths that run on torch's operators."""

import structlog
import torch
from torch import Tensor

from llm_api.engine.attention.backend import AttentionBackend, AttentionOptions
from llm_api.engine.attention.paged import PagedAttention
from llm_api.engine.attention.paged_kernels import paged_kernel
from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.batch import Batch, SequenceRows
from llm_api.engine.kv_cache.storage import KVCache

log = structlog.get_logger()

TOLERANCE = 0.02  # bfloat16 keeps 8 bits, and the values are about 1


def choose_attention(cache: KVCache, num_heads: int, has_windows: bool) -> AttentionBackend:
    """Paged where a kernel for it is at hand and gives what torch's plain attention gives; else that one."""
    kernel = paged_kernel(cache.device, cache.shape.dtype, cache.shape.head_dim, has_windows)
    if kernel is None:
        return SdpaAttention(cache)
    if not kernel.takes(cache.block_size):
        reason = f"BLOCK_SIZE={cache.block_size} is no power of two that is a multiple of {kernel.block_multiple}"
        log.warning("attention is not paged, which is slower", reason=reason)
        return SdpaAttention(cache)
    from torch.nn.attention.varlen import varlen_attn  # takes seconds to import

    paged = PagedAttention(cache, kernel.backend, varlen_attn)
    return paged if agrees(paged, SdpaAttention(cache), cache, num_heads) else SdpaAttention(cache)


def agrees(paged: AttentionBackend, plain: AttentionBackend, cache: KVCache, num_heads: int) -> bool:
    """Tries both on a small step. Logs why, where the first cannot be trusted on this machine."""
    try:
        difference = float((_try(paged, cache, num_heads) - _try(plain, cache, num_heads)).abs().max())
    except Exception as error:
        log.warning("attention is not paged, which is slower", reason=f"the kernel does not run here: {' '.join(str(error).split())[:300]}")
        return False
    if not difference <= TOLERANCE:  # NaN is no agreement either
        log.warning("attention is not paged, which is slower", reason=f"the kernel's result is off by {difference:.3g}")
    return difference <= TOLERANCE


def _try(attention: AttentionBackend, cache: KVCache, num_heads: int) -> Tensor:
    """A sequence that decodes on a context of 2, and one that prefills all of its 3 tokens; the blocks are clean again after it."""
    shape, device = cache.shape, cache.device
    sequences = [SequenceRows(0, 1, [0], 2), SequenceRows(1, 4, [1], 3)]
    slots = torch.tensor([1, cache.block_size, cache.block_size + 1, cache.block_size + 2], device=device)
    batch = Batch(token_ids=slots, positions=slots, slots=slots, sequences=sequences, logits_rows=slots, num_outputs=0)
    generator = torch.Generator().manual_seed(0)

    def random(*size: int) -> Tensor:
        return torch.randn(size, generator=generator).to(device, shape.dtype)

    cache.write(0, random(1, 2, shape.num_kv_heads, shape.head_dim), torch.zeros(1, dtype=torch.int64, device=device))
    query, key_values = random(4, num_heads, shape.head_dim), random(4, 2, shape.num_kv_heads, shape.head_dim)
    try:
        return attention.step(batch).attend(0, query, key_values, AttentionOptions(shape.head_dim**-0.5)).float()
    finally:
        cache.clear([0, 1])
