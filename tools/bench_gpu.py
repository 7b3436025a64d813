"""`make bench-gpu`: measures decode steps of a Llama with 8 billion random weights, relative to the time to read the weights once.

Runs the torch decoder with its attention and CUDA graphs, without scheduler, sampling and HTTP. It has not run on a GPU yet.
`--device cpu --layers 1 --scale 32` tests the tool on a CPU.
"""

import time
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

from llm_api.engine.attention.backend import AttentionOptions
from llm_api.engine.attention.paged import can_page, default_block_size
from llm_api.engine.batch import Batch, build_batch
from llm_api.engine.kv_cache.storage import KVCache, KVCacheShape
from llm_api.engine.messages import AddRequest, SamplingParams
from llm_api.engine.models.decoder_weights import Attention, Branch, DecoderLayer, DecoderWeights, Mlp, Norm
from llm_api.engine.models.families.registry import parts_of
from llm_api.engine.models.families.text_config import TextConfig
from llm_api.engine.models.linear import Linear, OutputHead
from llm_api.engine.models.rope import RotaryEmbedding
from llm_api.engine.models.torch_decoder import TorchDecoder, TorchLayout
from llm_api.engine.sequence import Chunk, Sequence
from llm_api.markdown import table

HIDDEN, INTERMEDIATE, VOCABULARY, HEADS, KV_HEADS, HEAD_DIM = 4096, 14336, 128256, 32, 8, 128  # Llama 3's 8B
CONTEXT, MAX_CONTEXT = 512, 1024
STEPS, WARM_UPS, COPIES = 50, 5, 20
COUNTS = (1, 4, 16, 64)


class RandomWeights:
    """Random weights, and the bytes of them that a step reads: all except the embedding."""

    def __init__(self, device: torch.device, layers: int, scale: int) -> None:
        self.bytes_read = 0
        self._device = device
        hidden, inner, heads = HIDDEN // scale, INTERMEDIATE // scale, (HEADS + 2 * KV_HEADS) * HEAD_DIM
        layout = TorchLayout()
        norm = Norm(torch.ones(hidden, device=device), None)
        rope = RotaryEmbedding({"rope_theta": 500_000.0, "rope_type": "default"}, HEAD_DIM, MAX_CONTEXT, device)
        self.weights: DecoderWeights[Linear, OutputHead] = DecoderWeights(
            parts=parts_of(TextConfig(_config(scale), "llama", VOCABULARY // scale, hidden, layers, HEADS, KV_HEADS, HEAD_DIM)),
            embedding=self._matrix(VOCABULARY // scale, hidden, is_read=False),
            layers=[
                DecoderLayer(
                    attention_norms=Branch(norm, None),
                    attention=Attention(
                        qkv=layout.linear(self._matrix(heads, hidden), None),
                        output=layout.linear(self._matrix(hidden, HEADS * HEAD_DIM), None),
                        query_norm=None,
                        key_norm=None,
                        rope=0,
                        options=AttentionOptions(HEAD_DIM**-0.5),
                    ),
                    feed_forward_norms=Branch(norm, None),
                    feed_forward=Mlp(
                        layout.gate_up(self._matrix(2 * inner, hidden), None), layout.linear(self._matrix(hidden, inner), None)
                    ),
                )
                for _ in range(layers)
            ],
            ropes=[rope],
            norm=norm,
            head=layout.head(self._matrix(VOCABULARY // scale, hidden)),
        )

    def _matrix(self, out: int, inner: int, *, is_read: bool = True) -> Tensor:
        matrix = torch.randn(out, inner, dtype=torch.bfloat16, device=self._device) * 0.02
        self.bytes_read += matrix.nbytes * is_read
        return matrix


def _config(scale: int) -> dict[str, Any]:
    """The keys of config.json that a Llama's parts depend on."""
    return {
        "hidden_act": "silu",
        "intermediate_size": INTERMEDIATE // scale,
        "max_position_embeddings": MAX_CONTEXT,
        "rms_norm_eps": 1e-5,
    }


def decoder(weights: RandomWeights, layers: int, block_size: int, device: torch.device) -> TorchDecoder:
    shape = KVCacheShape(layers, KV_HEADS, HEAD_DIM, torch.bfloat16)
    model = TorchDecoder(weights.weights, shape, HEADS)
    model.bind(KVCache(shape, COUNTS[-1] * -(-CONTEXT // block_size), block_size, device), COUNTS[-1])
    return model


def decoding(count: int, block_size: int, device: torch.device) -> Batch:
    blocks = -(-CONTEXT // block_size)
    chunks = []
    for number in range(count):
        sequence = Sequence(AddRequest(request_id=str(number), prompt_token_ids=[1] * CONTEXT, sampling=SamplingParams(max_tokens=1)), 0)
        sequence.block_ids = list(range(number * blocks, (number + 1) * blocks))
        chunks.append(Chunk(sequence, CONTEXT - 1, 1))
    return build_batch(chunks, block_size, device)[0]


def seconds_per_step(model: TorchDecoder, batch: Batch) -> float:
    for _ in range(WARM_UPS):
        model.logits(batch)
    _wait(batch.slots.device)
    started = time.perf_counter()
    for _ in range(STEPS):
        model.logits(batch)
    _wait(batch.slots.device)
    return (time.perf_counter() - started) / STEPS


def bytes_per_second(device: torch.device) -> float:
    """Bandwidth of a memory copy, reads plus writes."""
    source = torch.empty(2**30 if device.type == "cuda" else 2**27, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    _wait(device)
    started = time.perf_counter()
    for _ in range(COPIES):
        target.copy_(source)
    _wait(device)
    return 2 * COPIES * source.nbytes / (time.perf_counter() - started)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def main(
    device: Annotated[str, typer.Option(help="cuda, or cpu to test the tool.")] = "cuda",
    layers: Annotated[int, typer.Option(help="Number of layers; Llama 3 8B has 32.")] = 32,
    scale: Annotated[int, typer.Option(help="Divisor of hidden size, intermediate size and vocabulary.")] = 1,
) -> None:
    """Prints a table of step times."""
    where = torch.device(device)
    random = RandomWeights(where, layers, scale)
    block_size = default_block_size(pages=can_page(where, torch.bfloat16, HEAD_DIM))
    model = decoder(random, layers, block_size, where)
    bandwidth = bytes_per_second(where)
    least = random.bytes_read / bandwidth
    rows = []
    for count in COUNTS:
        step = seconds_per_step(model, decoding(count, block_size, where))
        rows.append([str(count), f"{1000 * step:.2f}", f"{count / step:.0f}", f"{100 * least / step:.0f}%"])
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, {type(model.attention).__name__}, graphs: {model.graphs is not None}")
    print(f"{random.bytes_read / 1e9:.2f} GB of weights, copied memory {bandwidth / 1e9:.0f} GB/s, contexts of {CONTEXT}")
    print(table(["sequences", "step, ms", "tokens/s", "of memory bandwidth"], rows))


if __name__ == "__main__":
    typer.run(main)
