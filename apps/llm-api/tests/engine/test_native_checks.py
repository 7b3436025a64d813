"""The C++ library refuses a model or a step at odds with itself before it reads memory that does not belong to them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from engine.checkpoints import save_random
from engine.conftest import tiny_executor
from engine.fast_families import fast_families

from llm_api.engine.batch import build_batch
from llm_api.engine.errors import EngineError
from llm_api.engine.executor import Executor
from llm_api.engine.messages import AddRequest, SamplingParams
from llm_api.engine.models.native.decoder import NativeDecoder
from llm_api.engine.sequence import Chunk, Sequence

Change = Callable[[Any], None]  # of a ModelStruct


def changed(path: str, value: object) -> Change:
    """Sets a field of the model, such as "layers.1.qkv.in_features"."""

    def change(struct: Any) -> None:
        *parents, last = path.split(".")
        for name in parents:
            struct = struct[int(name)] if name.isdigit() else getattr(struct, name)
        setattr(struct, last, value)

    return change


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checked")
    return {name: save_random(fast_families()[name], folder / name, 0) for name in ("gpt-oss", "olmo2")}


def refusal(path: Path, change: Change | None = None) -> str | None:
    executor = tiny_executor(path, runner="native")
    assert isinstance(executor.model, NativeDecoder)
    if change is not None:
        change(executor.model._model)
    try:
        executor.model.bind(executor.cache, 8)
    except EngineError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("name", "path", "value", "reason"),
    [
        ("olmo2", "dtype", 7, "the dtype is unknown"),
        ("olmo2", "num_layers", 0, "there are no layers"),
        ("olmo2", "hidden", 62, "layer 0: a norm"),
        ("olmo2", "hidden", 63, "the hidden size is not even"),
        ("olmo2", "heads", 3, "the kv heads do not divide the heads"),
        ("olmo2", "kv_heads", 0, "the kv heads do not divide the heads"),
        ("olmo2", "kv_heads", 4, "layer 0: a norm of the heads"),
        ("olmo2", "head_dim", 0, "the head dimension is not a multiple of 16"),
        ("olmo2", "head_dim", 32, "layer 0: a norm of the heads"),
        ("olmo2", "vocabulary", 301, "the head"),
        ("olmo2", "positions", 0, "there are no positions or no blocks"),
        ("olmo2", "activation", 4, "the activation is unknown"),
        ("olmo2", "embedding", None, "there is no embedding"),
        ("olmo2", "head.format", 1, "layer 0: only some layers are quantized"),
        ("olmo2", "layers.1.attention_output_norm.size", 32, "layer 1: a norm"),
        ("olmo2", "layers.1.qkv.in_features", 32, "layer 1: qkv"),
        ("olmo2", "layers.1.qkv.weight", None, "layer 1: qkv"),
        ("olmo2", "layers.2.output.out_features", 96, "layer 2: the output projection"),
        ("olmo2", "layers.2.output.bytes", 64 * 63 * 4, "layer 2: the output projection"),
        ("olmo2", "layers.1.query_norm.weight", None, "layer 1: one of the norms of queries and keys is missing"),
        ("olmo2", "layers.1.key_norm.weight", None, "layer 1: one of the norms of queries and keys is missing"),
        ("olmo2", "layers.1.query_norm.size", 16, "layer 1: the norms of queries and keys are of different kinds"),
        ("olmo2", "layers.0.sin", None, "layer 0: one of cos and sin is missing"),
        ("olmo2", "layers.0.window", -1, "layer 0: the window is negative"),
        ("olmo2", "layers.0.mlps.0.up.out_features", 96, "layer 0: the up projection"),
        ("olmo2", "layers.0.mlps.0.down.in_features", 200, "layer 0: the up projection"),
        ("olmo2", "layers.0.experts", 2, "layer 0: there are several experts and no router"),
        ("gpt-oss", "layers.0.experts", 6, "layer 0: the router"),
        ("gpt-oss", "layers.0.top_k", 6, "layer 0: the experts per token are not among the experts"),
        ("gpt-oss", "layers.2.router.bytes", 8, "layer 2: the router"),
        ("gpt-oss", "layers.2.mlps.4.down.out_features", 32, "layer 2: the down projection"),
        ("gpt-oss", "is_gated", 0, "the activation needs a gate"),
    ],
)
def test_a_model_at_odds_is_refused_by_the_part(paths: dict[str, Path], name: str, path: str, value: object, reason: str) -> None:
    assert refusal(paths[name], changed(path, value)) == f"the native runner cannot compute the model: {reason}"


def test_models_that_fit_are_not_refused(paths: dict[str, Path]) -> None:
    assert [refusal(path) for path in paths.values()] == [None, None]


@pytest.fixture(scope="module")
def executor(paths: dict[str, Path]) -> Executor:
    return tiny_executor(paths["olmo2"], runner="native")


def run(executor: Executor, token_ids: list[int], block_ids: list[int]) -> None:
    sequence = Sequence(AddRequest(request_id="0", prompt_token_ids=token_ids, sampling=SamplingParams(max_tokens=1)), 0)
    sequence.block_ids = block_ids
    executor.run([Chunk(sequence, 0, len(token_ids))])


@pytest.mark.parametrize(
    ("token_ids", "block_ids", "reason"),
    [
        ([3, 300], [0], "a token id is not in the vocabulary"),
        ([-1], [0], "a token id is not in the vocabulary"),
        ([3], [10**9], "a slot is not in the cache"),
        ([3] * 17, [0, -1], "a slot is not in the cache"),
        ([3] * 2, [0, 10**9], "the rows of a sequence do not fit its block table"),
        ([3] * 257, list(range(17)), "a position is beyond the model's context"),
    ],
)
def test_a_step_at_odds_is_refused(executor: Executor, token_ids: list[int], block_ids: list[int], reason: str) -> None:
    with pytest.raises(RuntimeError, match=f"the native runner refuses a step: {reason}"):
        run(executor, token_ids, block_ids)
    run(executor, [3, 4], [0])


@pytest.mark.parametrize(
    ("logits_rows", "reason"),
    [
        ([0, 1, 2], "there are more outputs than rows"),
        ([0, 2], "logits of a row that the batch does not have"),
        ([-1, 1], "logits of a row that the batch does not have"),
        ([1, 0], "the rows of the logits are not in ascending order"),
        ([1, 1], "the rows of the logits are not in ascending order"),
    ],
)
def test_a_step_whose_logits_are_not_those_of_its_rows_is_refused(executor: Executor, logits_rows: list[int], reason: str) -> None:
    sequence = Sequence(AddRequest(request_id="0", prompt_token_ids=[3, 4], sampling=SamplingParams(max_tokens=1)), 0)
    sequence.block_ids = [0]
    batch, _ = build_batch([Chunk(sequence, 0, 2)], executor.cache.block_size, executor.device)
    executor.model.logits(replace(batch, logits_rows=torch.tensor([0, 1]), num_outputs=2))
    with pytest.raises(RuntimeError, match=f"the native runner refuses a step: {reason}"):
        executor.model.logits(replace(batch, logits_rows=torch.tensor(logits_rows), num_outputs=len(logits_rows)))
