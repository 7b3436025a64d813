"""The torch runner on fake tensors, which have a GPU as their device and no data: torch checks every operator call except attention.

This finds tensors left on the CPU, dtypes that an operator does not support, and steps that would synchronise with the GPU. Only a
GPU can show whether varlen_attn accepts its inputs, what the kernels compute, and how fast.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.nn.attention.varlen import varlen_attn

from llm_api.engine.attention.backend import AttentionBackend
from llm_api.engine.attention.paged import PagedAttention
from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.batch import Batch, build_batch
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.messages import AddRequest, SamplingParams
from llm_api.engine.models.cuda_graphs import Captured, DecodeGraphs
from llm_api.engine.models.decoder_weights import read_decoder
from llm_api.engine.models.model_config import ModelConfig, read_model_config
from llm_api.engine.models.torch_decoder import TorchDecoder, TorchLayout
from llm_api.engine.sequence import Chunk, Sequence

GPU = torch.device("cuda")
BLOCK_SIZE = 256
Checkpoint = Callable[[str], Path]


class EmptyCheckpoint:
    """The names, shapes and dtypes of a checkpoint, as fake tensors on a GPU."""

    device = GPU

    def __init__(self, path: Path) -> None:
        with safe_open(path / "model.safetensors", "pt") as file:
            self._shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (it is no dict)

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def __iter__(self) -> Iterator[str]:
        return iter(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._shapes[name])

    def get(self, name: str, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        return torch.empty(self._shapes[name], dtype=dtype, device=GPU)

    def get_part(self, name: str, _index: int, dtype: torch.dtype | None = None) -> Tensor:
        return torch.empty(self._shapes[name][1:], dtype=dtype or torch.bfloat16, device=GPU)


def fake_gpu() -> FakeTensorMode:
    return FakeTensorMode(allow_non_fake_inputs=True)


def decoder(path: Path) -> TorchDecoder:
    config: ModelConfig = read_model_config(path)
    weights = read_decoder(EmptyCheckpoint(path), config, TorchLayout(), 512)  # type: ignore[arg-type]
    shape = KVCacheShape(config.num_layers, config.num_kv_heads, config.head_dim, torch.bfloat16)
    return TorchDecoder(weights, shape, config.num_heads)


def batch(*lengths: tuple[int, int]) -> Batch:
    """One sequence per pair (tokens already computed, tokens to compute)."""
    chunks = []
    for number, (computed, length) in enumerate(lengths):
        prompt = [1] * (computed + length)
        sequence = Sequence(AddRequest(request_id=str(number), prompt_token_ids=prompt, sampling=SamplingParams(max_tokens=1)), 0)
        sequence.block_ids = list(range(-(-len(prompt) // BLOCK_SIZE)))
        chunks.append(Chunk(sequence, computed, length))
    return build_batch(chunks, BLOCK_SIZE, GPU)[0]


def attention(kind: str, cache: KVCache) -> AttentionBackend:
    return SdpaAttention(cache) if kind == "sdpa" else PagedAttention(cache, varlen_attn)


@pytest.mark.parametrize("kind", ["sdpa", "paged"])
@pytest.mark.parametrize("name", ["llama", "mistral-sliding", "qwen2", "qwen3"])
def test_a_step_runs_on_the_gpu_and_never_synchronises(checkpoint: Checkpoint, name: str, kind: str) -> None:
    path = checkpoint(name)
    with fake_gpu():
        model = decoder(path)
        model.attention = attention(kind, KVCache(model.cache_shape, 8, BLOCK_SIZE, GPU))
        for step in (batch((9, 1), (300, 1)), batch((9, 1), (0, 40), (260, 7))):
            logits = model.logits(step)
            assert logits.device.type == "cuda" and logits.dtype == torch.float32
            assert logits.shape == (step.logits_rows.shape[0], read_model_config(path).vocab_size)


def test_a_captured_graph_never_synchronises(checkpoint: Checkpoint) -> None:
    path = checkpoint("llama")
    with fake_gpu():
        model = decoder(path)
        paged = PagedAttention(KVCache(model.cache_shape, 8, BLOCK_SIZE, GPU), varlen_attn)
        graphs = DecodeGraphs(model.forward, paged, lambda compute: Captured(lambda: None, compute()), 5, 512)
        step = batch((9, 1), (300, 1), (301, 1))
        assert graphs.can_run(step) and not graphs.can_run(batch((9, 1), (0, 40)))
        assert graphs.logits(step).shape[0] == 4


def test_a_tensor_left_on_the_cpu_is_found() -> None:
    with fake_gpu(), pytest.raises(RuntimeError, match="device"):
        torch.empty(3, device=GPU) + torch.empty(3, device="cpu")


def test_a_step_that_synchronises_is_found() -> None:
    with fake_gpu(), pytest.raises(DataDependentOutputException):
        torch.empty(3, device=GPU).sum().item()
