"""A substitute for torch's varlen_attn, which needs a GPU: the same signature, one sequence after the other, on any device.

It rejects the types and shapes that the kernels reject. Like them it loads whole blocks: NaN beyond the end of a context has an
effect.
"""

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention


def slow_varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
    seqused_k: Tensor,
    block_table: Tensor,
) -> Tensor:
    blocks, block_size, kv_heads, dim = key.shape
    sequences = len(seqused_k)
    tensors = (query, key, value, cu_seq_q, cu_seq_k, seqused_k, block_table)
    assert len({t.device for t in tensors}) == 1 and query.dtype == key.dtype == value.dtype
    assert value.shape == key.shape and query.shape[2] == dim and query.shape[1] % kv_heads == 0
    assert {t.dtype for t in (cu_seq_q, cu_seq_k, seqused_k, block_table)} == {torch.int32}
    assert len(cu_seq_q) == len(cu_seq_k) == sequences + 1 and len(block_table) == sequences
    assert all(t.is_contiguous() for t in (cu_seq_q, cu_seq_k, seqused_k)) and block_table.stride(-1) == 1
    assert cu_seq_k.diff().tolist() == seqused_k.tolist() and max_k == block_table.shape[1] * block_size
    assert enable_gqa and (window_size[1] == 0 or (window_size == (-1, -1) and max_q == 1 and len(query) == sequences))
    output = torch.full_like(query, float("nan"))  # like uninitialised memory
    for sequence, context in enumerate(seqused_k.tolist()):
        start, end = cu_seq_q[sequence : sequence + 2].tolist()
        assert 0 < end - start <= max_q and context <= max_k
        used = block_table[sequence, : -(-context // block_size)].long()
        assert int(used.max()) < blocks
        keys, values = (t[used].flatten(0, 1).transpose(0, 1).unsqueeze(0) for t in (key, value))
        rows = query[start:end].transpose(0, 1).unsqueeze(0)
        mask = _mask(end - start, context, window_size[0], keys.shape[2])
        with sdpa_kernel(SDPBackend.MATH):
            attended = scaled_dot_product_attention(rows, keys, values, attn_mask=mask, scale=scale, enable_gqa=True)
        output[start:end] = attended.squeeze(0).transpose(0, 1)
    return output


def _mask(rows: int, context: int, before: int, loaded: int) -> Tensor:
    """The last row attends to the whole context, each earlier row to one token less. `before`: how many before itself; -1: all."""
    own = torch.arange(context - rows, context).unsqueeze(1)
    position = torch.arange(loaded)
    return (position <= own) & ((before < 0) | (position >= own - before))
