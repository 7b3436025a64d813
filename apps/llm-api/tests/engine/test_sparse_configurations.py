"""config.json files without keys that have a default, in older formats, or inconsistent with the weights.

The engine must read them as transformers does, or reject them.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine.checkpoints import save
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from engine.reference import Reference
from safetensors.torch import load_file, save_file

from llm_api.engine.errors import EngineError
from llm_api.engine.messages import EngineConfig
from llm_api.engine.preflight import preflight

PROMPTS = [[(11 * i * (j + 2)) % 297 + 3 for i in range(length)] for j, length in enumerate((3, 20, 45))]
LEFT_OUT = None


def rewrite(path: Path, changes: dict[str, Any]) -> None:
    file = path / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({key: value for key, value in config.items() if value is not LEFT_OUT}))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("llama", {"rms_norm_eps": LEFT_OUT, "hidden_act": LEFT_OUT, "head_dim": LEFT_OUT}),
        ("llama", {"rope_parameters": LEFT_OUT}),
        ("llama", {"rope_parameters": LEFT_OUT, "rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 4.0}}),
        ("mistral-sliding", {"sliding_window": LEFT_OUT, "layer_types": LEFT_OUT}),
        ("qwen2", {"sliding_window": 8, "layer_types": LEFT_OUT}),
        ("qwen2", {"sliding_window": 8, "layer_types": LEFT_OUT, "use_sliding_window": LEFT_OUT}),
        ("qwen2", {"sliding_window": 8, "layer_types": LEFT_OUT, "use_sliding_window": True, "max_window_layers": 1}),
        ("qwen3", {"sliding_window": 8, "layer_types": LEFT_OUT, "use_sliding_window": True, "max_window_layers": 2}),
        ("qwen3", {"head_dim": 16, "rope_parameters": LEFT_OUT, "rope_theta": 1000000.0}),
        ("qwen3-128", {"head_dim": LEFT_OUT}),
        ("mistral-8", {"num_key_value_heads": LEFT_OUT}),
    ],
)
def test_missing_keys_have_the_defaults_of_transformers(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    path = save(name, tmp_path)
    rewrite(path, changes)
    executor = tiny_executor(path)
    assert executor.model.name == "native"
    assert greedy(Engine(executor), PROMPTS, 16) == Reference(path).greedy(PROMPTS, 16)


def test_yarn_stretches_the_original_context(tmp_path: Path) -> None:
    path = save("qwen2", tmp_path)
    yarn = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    rewrite(path, {"rope_parameters": LEFT_OUT, "rope_theta": 10000.0, "rope_scaling": yarn, "max_position_embeddings": 16})
    executor = tiny_executor(path)
    assert (executor.model.name, executor.max_model_len) == ("native", 64)
    assert greedy(Engine(executor), PROMPTS, 16) == Reference(path).greedy(PROMPTS, 16)


def test_an_untied_model_needs_its_output_head(tmp_path: Path) -> None:
    file = save("llama-untied", tmp_path) / "model.safetensors"
    save_file({name: tensor for name, tensor in load_file(file).items() if name != "lm_head.weight"}, file)
    with pytest.raises(EngineError, match=r"lacks the tensor lm_head\.weight"):
        tiny_executor(tmp_path)


@pytest.mark.parametrize("runner", ["native", "torch"])
@pytest.mark.parametrize(
    ("name", "changes", "tensor"),
    [
        ("llama", {"vocab_size": 320}, r"model\.embed_tokens\.weight is \[300, 64\], but \[320, 64\]"),
        ("llama", {"hidden_size": 48, "head_dim": 16}, "model.embed_tokens.weight"),
        ("llama", {"num_key_value_heads": 4}, "model.layers.0.self_attn.k_proj.weight"),
        ("llama", {"num_attention_heads": 2}, "model.layers.0.self_attn.q_proj.weight"),
        ("llama", {"head_dim": 32}, "model.layers.0.self_attn.q_proj.weight"),
        ("llama", {"intermediate_size": 64}, "model.layers.0.mlp.gate_proj.weight"),
        ("llama", {"num_hidden_layers": 2}, "no tensor model.layers.2"),
        ("llama", {"num_hidden_layers": 4}, "lacks the tensor model.layers.3"),
        ("llama", {"attention_bias": True}, "lacks the tensor model.layers.0.self_attn.q_proj.bias"),
        ("qwen2", {"model_type": "llama"}, "no tensor model.layers.0.self_attn.k_proj.bias"),
        ("qwen3", {"model_type": "llama"}, "no tensor model.layers.0.self_attn.k_norm.weight"),
    ],
)
def test_tensors_that_do_not_fit_the_configuration_are_refused_in_one_line(
    tmp_path: Path, name: str, changes: dict[str, Any], tensor: str, runner: str
) -> None:
    rewrite(save(name, tmp_path), changes)
    with pytest.raises(EngineError, match=tensor) as refused:
        tiny_executor(tmp_path, runner=runner)
    assert "\n" not in str(refused.value)


def test_only_the_named_files_are_read(checkpoint: Callable[[str], Path], tmp_path: Path) -> None:
    whole, sharded = save("llama", tmp_path / "whole"), save("llama", tmp_path / "sharded", max_shard_size="60KB")
    expected = greedy(Engine(tiny_executor(whole)), PROMPTS, 8)
    for path in (whole, sharded):
        other = {name: tensor * 0 for name, tensor in load_file(checkpoint("llama") / "model.safetensors").items()}
        save_file(other, path / "zeros.safetensors")
        assert greedy(Engine(tiny_executor(path)), PROMPTS, 8) == expected


def test_several_files_without_an_index_are_refused(tmp_path: Path) -> None:
    path = save("llama", tmp_path, max_shard_size="60KB")
    (path / "model.safetensors.index.json").unlink()
    with pytest.raises(EngineError, match=r"but no model\.safetensors\.index\.json"):
        tiny_executor(path)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"generation_config.json": {"eos_token_id": [7, 8]}, "config.json": {"eos_token_id": 2}}, {2, 7, 8}),
        ({"generation_config.json": {}, "config.json": {"eos_token_id": 2}}, {2}),
        ({"config.json": {"eos_token_id": LEFT_OUT}}, set()),
    ],
)
def test_every_file_names_ids_that_end_a_text(tmp_path: Path, files: dict[str, dict[str, Any]], expected: set[int]) -> None:
    path = save("llama", tmp_path)
    (path / "generation_config.json").unlink(missing_ok=True)
    rewrite(path, files.pop("config.json"))
    for name, content in files.items():
        (path / name).write_text(json.dumps(content))
    assert tiny_executor(path).end_token_ids == expected
    assert tiny_executor(path, end_token_ids=(9,)).end_token_ids == expected | {9}


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "{}", '{"model_type": "unheard_of"}', '{"model_type": ["llama"]}', "null", pytest.param("[" * 100_000, id="deep")],
)
def test_a_broken_configuration_is_refused_in_one_line(checkpoint: Callable[[str], Path], tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(EngineError, match=r"config\.json") as refused:
        tiny_executor(tmp_path)
    assert "\n" not in str(refused.value)


LINEAR, LLAMA3, YARN = ({"rope_type": kind, "rope_theta": 10000.0} for kind in ("linear", "llama3", "yarn"))
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"vocab_size": "x"}, 'vocab_size is "x", but must be a whole number above 0'),
        ({"vocab_size": None}, "vocab_size is null"),
        ({"hidden_size": 64.0}, "hidden_size is 64.0"),
        ({"num_hidden_layers": "2"}, 'num_hidden_layers is "2"'),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"num_hidden_layers": True}, "num_hidden_layers is true"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, but must be a whole number from 1 to 10000"),
        ({"num_attention_heads": -4}, "num_attention_heads is -4"),
        ({"num_key_value_heads": [2]}, "num_key_value_heads is [2]"),
        ({"head_dim": "16"}, 'head_dim is "16"'),
        ({"intermediate_size": -96}, "intermediate_size is -96"),
        ({"max_position_embeddings": "256"}, 'max_position_embeddings is "256"'),
        ({"rms_norm_eps": "1e-5"}, 'rms_norm_eps is "1e-5", but must be a number'),
        ({"hidden_act": ["silu"]}, 'hidden_act is ["silu"], but must be a string'),
        ({"rope_parameters": LONGROPE | {"short_factor": [1.0] * 7, "partial_rotary_factor": None}}, "rope_parameters.short_factor has 7"),
        ({"quantization_config": "fp8"}, 'quantization_config is "fp8", but must be an object'),
        ({"layer_types": ["full_attention"]}, "layer_types has 1 items, but num_hidden_layers is 3"),
        ({"layer_types": "full_attention"}, 'layer_types is "full_attention", but must be a list'),
        ({"use_sliding_window": True, "sliding_window": "8", "max_window_layers": 1}, 'sliding_window is "8"'),
        ({"rope_theta": 10000.0, "rope_parameters": 5}, "rope_parameters is 5, but must be an object"),
        ({"rope_parameters": LINEAR}, "rope_parameters has no factor, which the RoPE type linear needs"),
        ({"rope_parameters": LLAMA3 | {"factor": 4.0}}, "rope_parameters has no low_freq_factor"),
        ({"rope_parameters": YARN}, "rope_parameters has no factor, which the RoPE type yarn needs"),
        ({"rope_parameters": YARN | {"factor": "4"}}, 'rope_parameters.factor is "4", but must be a number above 0'),
        ({"rope_parameters": LONGROPE}, "rope_parameters has no short_factor"),
        ({"rope_parameters": LONGROPE | {"short_factor": [1.0] * 7}}, "rope_parameters.short_factor has 7 items, but a head has 8 pairs"),
        ({"rope_parameters": LEFT_OUT, "rope_theta": 1e4, "rope_scaling": {"type": "linear"}}, "rope_scaling has no factor"),
        ({"rope_parameters": {"rope_type": ["linear"], "rope_theta": 1e4}}, 'rope_parameters.rope_type is ["linear"]'),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_its_key_before_the_engine_starts(
    checkpoint: Callable[[str], Path], tmp_path: Path, changes: dict[str, Any], fault: str
) -> None:
    path = shutil.copytree(checkpoint("qwen2"), tmp_path / "model")
    config = json.loads((path / "config.json").read_text()) | {"rope_theta": 1e4} | changes
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(EngineError, match=re.escape(f"{path}/config.json: {fault}")) as refused:
        preflight(EngineConfig(model_path=str(path), vocabulary_size=300))
    assert "\n" not in str(refused.value)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    (save("llama", tmp_path) / "model.safetensors").unlink()
    with pytest.raises(EngineError, match="has no safetensors files"):
        tiny_executor(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    path = save("llama", tmp_path, max_shard_size="60KB")
    shard = min(path.glob("*.safetensors"))
    shard.unlink()
    with pytest.raises(EngineError, match=shard.name):
        tiny_executor(path)
