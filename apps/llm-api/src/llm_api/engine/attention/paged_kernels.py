"""Which of the kernels behind torch's varlen_attn reads a paged cache here. No GPU has run them for us yet."""

import inspect
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend

SMALL_BLOCK = 16


@dataclass(frozen=True, slots=True)
class PagedKernel:
    """`block_multiple`: what the KV cache's block size must be a multiple of."""

    backend: SDPBackend
    block_multiple: int

    def takes(self, block_size: int) -> bool:
        is_power_of_two = block_size & (block_size - 1) == 0
        return is_power_of_two and block_size % self.block_multiple == 0


# cuDNN 9.24 is the first that aligns causal rows with the end of the context (torch 2.15, nn/attention/varlen.py).
CUDNN, CUDNN_VERSION, CUDNN_TORCH = PagedKernel(SDPBackend.CUDNN_ATTENTION, 1), 92400, (2, 15)
# FlashAttention 2: https://github.com/Dao-AILab/flash-attention/issues/828
FLASH = PagedKernel(SDPBackend.FLASH_ATTENTION, 256)


def paged_kernel(device: torch.device, dtype: torch.dtype, head_dim: int, has_windows: bool) -> PagedKernel | None:
    """None where torch's scaled_dot_product_attention must do. `has_windows`: layers with a sliding window."""
    if device.type != "cuda" or dtype not in {torch.bfloat16, torch.float16} or head_dim % 8:
        return None
    from torch.nn.attention.varlen import varlen_attn  # takes seconds to import: only for those who may use it

    if "block_table" not in inspect.signature(varlen_attn).parameters:  # torch before 2.12
        return None
    torch_version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    major, _ = torch.cuda.get_device_capability(device)
    recent = (torch.backends.cudnn.version() or 0) >= CUDNN_VERSION and torch_version >= CUDNN_TORCH
    if recent and major in {9, 10} and head_dim <= 128 and not has_windows:
        return CUDNN
    return FLASH if major >= 8 and head_dim <= 256 else None


def default_block_size(kernel: PagedKernel | None) -> int:
    """Small blocks share prefixes at a finer grain and waste less."""
    return SMALL_BLOCK if kernel is None else max(SMALL_BLOCK, kernel.block_multiple)
