"""Whether FlashAttention 2, through torch's varlen_attn, reads a paged cache here. No GPU has run it for us yet.

varlen_attn knows cuDNN too, which takes blocks of any power of two, but it makes a plan for every new shape of a step's rows,
sequences and tables, and keeps them all.
"""

import inspect

import torch

BLOCK_MULTIPLE = 256  # https://github.com/Dao-AILab/flash-attention/issues/828
SMALL_BLOCK = 16  # shares prefixes at a finer grain, and wastes less


def can_page(device: torch.device, dtype: torch.dtype, head_dim: int) -> bool:
    if device.type != "cuda" or dtype not in {torch.bfloat16, torch.float16} or head_dim % 8 or head_dim > 256:
        return False
    from torch.nn.attention.varlen import varlen_attn  # takes seconds to import: only for those who may use it

    major, _ = torch.cuda.get_device_capability(device)
    return major >= 8 and "block_table" in inspect.signature(varlen_attn).parameters  # torch before 2.12 has none


def default_block_size(*, pages: bool) -> int:
    return BLOCK_MULTIPLE if pages else SMALL_BLOCK
