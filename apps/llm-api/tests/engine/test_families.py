"""The torch runner computes what transformers computes. Files and settings that cannot be served are refused in one line.

tests/models compares every architecture with transformers. The native runner is tested in test_native.py.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine.checkpoints import FAST, save
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from engine.reference import Reference
from safetensors.torch import save_file

from llm_api.engine.errors import EngineError
from llm_api.engine.models.checkpoint import CheckpointSize, checkpoint_size

Checkpoint = Callable[[str], Path]
References = Callable[[str], Reference]
PROMPTS = [[(7 * i * (j + 3)) % 297 + 3 for i in range(length)] for j, length in enumerate((1, 5, 16, 17, 40, 61))]


@pytest.mark.parametrize("name", FAST)
def test_the_torch_runner_continues_as_transformers_does(checkpoint: Checkpoint, tiny_reference: References, name: str) -> None:
    path = checkpoint(name)
    executor = tiny_executor(path, runner="torch")
    assert executor.model.name == "torch"
    assert greedy(Engine(executor), PROMPTS, 24) == tiny_reference(name).greedy(PROMPTS, 24)


def test_a_checkpoint_in_many_files_is_read_whole(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = save("llama", tmp_path / "sharded", max_shard_size="60KB")
    assert len(list(path.glob("*.safetensors"))) > 1
    assert greedy(Engine(tiny_executor(path)), PROMPTS, 8) == greedy(Engine(tiny_executor(checkpoint("llama"))), PROMPTS, 8)


def test_rope_settings_of_older_files_are_understood(tmp_path: Path) -> None:
    path = save("llama-3", tmp_path)
    expected = greedy(Engine(tiny_executor(path)), PROMPTS, 8)
    config = json.loads((path / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    (path / "config.json").write_text(json.dumps(config))
    assert greedy(Engine(tiny_executor(path)), PROMPTS, 8) == expected


def test_a_truncated_file_is_refused_by_name(tmp_path: Path) -> None:
    file = save("llama", tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(EngineError, match=r"model\.safetensors is not a complete safetensors file"):
        tiny_executor(tmp_path)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    path = save("llama", tmp_path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 4}))
    with pytest.raises(EngineError, match=r"model\.layers\.3"):
        tiny_executor(path)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_model_len": 257}, "MAX_MODEL_LEN is 257, but the model supports 256"),
        ({"max_model_len": 256, "kv_cache_memory": 1000}, "raise KV_CACHE_MEMORY or lower MAX_MODEL_LEN"),
        ({"kv_cache_memory": 10}, "raise KV_CACHE_MEMORY"),
        pytest.param({"device": "cuda"}, "torch finds no GPU", marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")),
    ],
)
def test_settings_that_cannot_be_met_are_refused_in_one_line(checkpoint: Checkpoint, settings: dict[str, object], reason: str) -> None:
    with pytest.raises(EngineError, match=reason) as refused:
        tiny_executor(checkpoint("llama"), **settings)
    assert "\n" not in str(refused.value)


def test_too_little_memory_is_reported_before_anything_is_loaded(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_api.engine.limits.available_memory", lambda: 1000)
    with pytest.raises(EngineError, match=r"the weights need .* are available"):
        tiny_executor(checkpoint("llama"))


def test_the_memory_check_uses_the_dtype_and_quantization_that_are_served(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint("llama")  # in float32
    weights = checkpoint_size(path).weights
    monkeypatch.setattr("llm_api.engine.limits.available_memory", lambda: 2 * weights)
    with pytest.raises(EngineError, match="the weights need"):
        tiny_executor(path, dtype="float32")
    assert tiny_executor(path, dtype="bfloat16").model.name == "native"
    monkeypatch.setattr("llm_api.engine.limits.available_memory", lambda: 2 * weights - 1)
    with pytest.raises(EngineError, match="the weights need"):
        tiny_executor(path, dtype="bfloat16")
    assert tiny_executor(path, dtype="bfloat16", quantization="int4").model.name == "native"


def test_packed_weights_count_with_their_bytes_in_the_file(tmp_path: Path) -> None:
    tensors = {"scales": torch.ones(3, 5), "packed": torch.ones(7, 2, dtype=torch.int32), "eights": torch.ones(4).to(torch.float8_e4m3fn)}
    save_file(tensors, tmp_path / "model.safetensors")
    assert checkpoint_size(tmp_path) == CheckpointSize(weights=15, packed=14 * 4 + 4)


def test_an_unknown_architecture_is_refused_in_one_line(tmp_path: Path) -> None:
    path = save("llama", tmp_path)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | {"model_type": "unheard_of", "architectures": ["Unheard"]}))
    with pytest.raises(EngineError, match="transformers cannot load") as refused:
        tiny_executor(path)
    assert "\n" not in str(refused.value)
