"""Paged attention and CUDA graphs, tested without a GPU.

`slow_varlen` replaces the kernel, and the computation itself replaces a captured graph. Everything else is production code.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from engine.reference import Reference
from engine.slow_varlen import slow_varlen
from engine.test_families import PROMPTS
from torch import Tensor

from llm_api.engine.attention.paged import PagedAttention
from llm_api.engine.attention.sdpa import SdpaAttention
from llm_api.engine.attention.selector import agrees
from llm_api.engine.executor import Executor
from llm_api.engine.models.cuda_graphs import Capture, Captured, DecodeGraphs, capture_decode
from llm_api.engine.models.torch_decoder import TorchDecoder

Checkpoint = Callable[[str], Path]
References = Callable[[str], Reference]
Compute = Callable[[], Tensor]


class Recorder:
    """Replaces a CUDA graph: computes again into the same memory. `calls` counts the replays by rows."""

    def __init__(self) -> None:
        self.calls: dict[int, int] = {}

    def __call__(self, compute: Compute) -> Captured:
        logits = compute()

        def replay() -> None:
            self.calls[len(logits)] = self.calls.get(len(logits), 0) + 1
            logits.copy_(compute())

        return Captured(replay, logits)


def paged_executor(path: Path, recorder: Recorder | None = None, **config: Any) -> Executor:
    executor = tiny_executor(path, runner="torch", **config)
    model = executor.model
    assert isinstance(model, TorchDecoder)
    model.attention = PagedAttention(executor.cache, slow_varlen)
    if recorder is not None:
        model.graphs = DecodeGraphs(model.forward, model.attention, recorder, executor.max_num_seqs, executor.max_model_len)
        assert model.graphs.agree()
        recorder.calls.clear()
    return executor


@pytest.mark.parametrize("name", ["llama", "mistral-sliding", "qwen2", "qwen3"])
def test_paged_attention_continues_as_transformers_does(checkpoint: Checkpoint, tiny_reference: References, name: str) -> None:
    path = checkpoint(name)
    assert greedy(Engine(paged_executor(path)), PROMPTS, 24) == tiny_reference(name).greedy(PROMPTS, 24)


@pytest.mark.parametrize("limits", [{}, {"budget": 16}, {"blocks": 12}, {"sequences": 3}])
def test_decode_graphs_change_no_token(checkpoint: Checkpoint, tiny_reference: References, limits: dict[str, Any]) -> None:
    path, recorder = checkpoint("llama"), Recorder()
    engine = Engine(paged_executor(path, recorder), **limits)
    assert greedy(engine, PROMPTS, 24) == tiny_reference("llama").greedy(PROMPTS, 24)
    assert greedy(engine, PROMPTS, 24) == tiny_reference("llama").greedy(PROMPTS, 24), "again, from the prefix cache"
    assert sum(recorder.calls.values()) > 20


def test_a_step_that_only_decodes_is_one_replay_and_any_other_none(checkpoint: Checkpoint) -> None:
    recorder = Recorder()
    engine = Engine(paged_executor(checkpoint("llama"), recorder))
    for number, prompt in enumerate(PROMPTS[1:4]):
        engine.add(str(number), prompt, max_tokens=8, temperature=0, ignore_eos=True)
        engine.step()
    assert recorder.calls == {}
    engine.step()
    assert recorder.calls == {4: 1}, "three rows, padded"


def test_padding_rows_do_not_change_the_cache(checkpoint: Checkpoint) -> None:
    executor = paged_executor(checkpoint("llama"), Recorder())
    engine = Engine(executor, prefix_caching=False)
    for number in range(3):
        engine.add(str(number), PROMPTS[1], max_tokens=8, temperature=0, ignore_eos=True)
    engine.step()
    slots = executor.cache.layer(0)[: executor.cache.num_blocks].flatten(0, 1)
    before = slots.clone()
    engine.step()
    changed = (slots != before).flatten(1).any(1).nonzero().flatten().tolist()
    size = executor.cache.block_size
    running = [(sequence.block_ids, sequence.num_computed - 1) for sequence in engine.loop.scheduler.running]
    assert sorted(changed) == sorted(blocks[last // size] * size + last % size for blocks, last in running)


def test_nan_in_a_block_does_not_affect_its_next_sequence(checkpoint: Checkpoint, tiny_reference: References) -> None:
    path = checkpoint("llama")
    executor = paged_executor(path, Recorder())
    for layer in range(executor.cache.shape.num_layers):
        executor.cache.layer(layer).fill_(float("nan"))
    assert greedy(Engine(executor), PROMPTS, 24) == tiny_reference("llama").greedy(PROMPTS, 24)


def only_the_first_block(*args: Any, **options: Any) -> Tensor:
    table = options["block_table"]
    return slow_varlen(*args, **(options | {"block_table": table[:, :1].expand_as(table)}))


def without_the_windows(*args: Any, **options: Any) -> Tensor:
    before, after = options["window_size"]
    return slow_varlen(*args, **(options | {"window_size": (-1, 0) if before >= 0 else (before, after)}))


def without_the_own_token(*args: Any, **options: Any) -> Tensor:
    return slow_varlen(*args, **options).roll(1, 0)


def never_decoding(*args: Any, **options: Any) -> Tensor:
    if args[5] == 1:
        raise RuntimeError("decode is disabled for this version")
    return slow_varlen(*args, **options)


def nowhere(*_args: Any, **_options: Any) -> Tensor:
    raise RuntimeError("no kernel image is available for execution on the device")


@pytest.mark.parametrize(
    ("varlen", "is_used"),
    [
        (slow_varlen, True),
        (only_the_first_block, False),
        (without_the_windows, False),
        (without_the_own_token, False),
        (never_decoding, False),
        (nowhere, False),
    ],
)
def test_a_kernel_is_used_only_if_it_agrees_with_plain_attention(
    checkpoint: Checkpoint, varlen: Callable[..., Tensor], is_used: bool
) -> None:
    cache, heads = tiny_executor(checkpoint("llama"), runner="torch").cache, 4
    assert agrees(PagedAttention(cache, varlen), SdpaAttention(cache), cache, heads, has_windows=True) == is_used
    assert not cache.layer(0).any(), "the trial must clear the cache"


def frozen(compute: Compute) -> Captured:
    return Captured(lambda: None, compute().clone())


def failing(_compute: Compute) -> Captured:
    raise AssertionError("operation not permitted when stream is capturing")


@pytest.mark.parametrize(("capture", "is_used"), [(Recorder(), True), (frozen, False), (failing, False)])
def test_graphs_are_used_only_if_they_agree_with_the_model(checkpoint: Checkpoint, capture: Capture, is_used: bool) -> None:
    executor = tiny_executor(checkpoint("llama"), runner="torch")
    model = executor.model
    assert isinstance(model, TorchDecoder)
    graphs = capture_decode(model.forward, PagedAttention(executor.cache, slow_varlen), 6, 64, lambda: capture)
    assert (graphs is not None) == is_used
    assert not executor.cache.layer(0)[: executor.cache.num_blocks].any()
