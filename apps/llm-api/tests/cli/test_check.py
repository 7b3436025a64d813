"""`llm-api check` tells what would be served, or refuses it in one line. `llm-api serve` refuses the same."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli.commands import run_cli
from safetensors.numpy import load_file, save_file
from weights.tiny_models import write_folder

Change = Callable[[Path], object]


def configured(**changes: Any) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))

    return change


def written(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def without_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors")


def truncated(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", (folder / "model.safetensors").stat().st_size - 1)


def untouched(folder: Path) -> None:
    pass


def test_a_model_that_would_be_served(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    result = run_cli("check", str(folder), env={"KV_CACHE_MEMORY": "1MiB", "DTYPE": "float32"})
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"model          tiny (llama), {folder}",
        "runner         native, float32 on cpu, quantization none",
        "weights        0.1 MiB",
        "KV cache       0.1 MiB per 1,000 tokens; 1.0 MiB for 8,192 tokens",
        result.stdout.splitlines()[4],
        "context        64 tokens; the model's own is 64",
        "end of text    <|im_end|> (2)",
        "tokenizer      BPE with 260 tokens",
        "chat template  yes",
    ]


def test_json_has_bytes_and_tokens(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny", max_position_embeddings=4096)
    (folder / "chat_template.jinja").unlink()
    settings = {"KV_CACHE_MEMORY": "128KiB", "DTYPE": "float32", "MODEL_PATH": str(folder), "RUNNER": "general"}
    facts = json.loads(run_cli("check", "--json", env=settings).stdout)
    weights = 260 * 32 + 3 * 32 + 2 * 32 * 32 + 2 * 16 * 32 + 3 * 64 * 32
    expected = {"runner": "general", "weights_memory": 4 * weights, "kv_cache_memory_per_1000_tokens": 1000 * 2 * 16 * 4, "context": 1024}
    expected |= {"kv_cache_tokens": 1024, "model_context": 4096, "chat_template": False, "end_tokens": {"<|im_end|>": 2}}
    assert {key: facts[key] for key in expected} == expected
    assert facts["total_memory"] == facts["weights_memory"] + facts["kv_cache_memory"] < facts["available_memory"]
    assert [warning.partition(":")[0] for warning in facts["warnings"]] == [
        "no chat template",
        "the general runner is slower than the fast paths",
        "the KV cache limits the context to 1024 of 4096 tokens",
    ]


def test_every_file_names_tokens_that_end_a_text(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny", eos_token_id=7)
    (folder / "generation_config.json").write_text('{"eos_token_id": [8, 9]}')
    (folder / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|endoftext|>"}}')
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}")
    facts = json.loads(run_cli("check", "--json", str(folder)).stdout)
    assert set(facts["end_tokens"].values()) == {0, 2, 7, 8, 9}


def test_a_uri_goes_before_model_path(tmp_path: Path) -> None:
    other, folder = write_folder(tmp_path / "other"), write_folder(tmp_path / "tiny")
    assert "tiny (llama)" in run_cli("check", f"file://{folder}", env={"MODEL_PATH": str(other)}).stdout


def test_added_tokens_beyond_the_embedding_are_a_warning(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append(tokenizer["added_tokens"][0] | {"id": 260, "content": "<|tool|>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert "warning: the model lacks 1 tokens of its tokenizer, such as ['<|tool|>']" in run_cli("check", str(folder)).stdout


@pytest.mark.parametrize(
    ("change", "settings", "exit_code", "line"),
    [
        (lambda folder: (folder / "config.json").unlink(), {}, 65, "has no config.json"),
        (written("config.json", "{"), {}, 65, "config.json is not valid JSON"),
        (configured(model_type="unheard_of"), {}, 65, "unheard_of"),
        (configured(num_attention_heads=4), {}, 65, "the tensor model.layers.0.self_attn.q_proj.weight is [32, 32], but [64, 32] with"),
        (
            configured(num_attention_heads=4),
            {"RUNNER": "general"},
            65,
            "self_attn.o_proj.weight is [32, 32], but [32, 64] with",
        ),
        (configured(hidden_size="x"), {}, 65, "config.json"),
        (configured(num_attention_heads=0, head_dim=None), {}, 65, "config.json"),
        (configured(num_hidden_layers=2), {}, 65, "the checkpoint lacks the tensor model.layers.1."),
        (configured(vocab_size=100), {}, 65, "the tokenizer has 260 tokens, but the model's embedding only 100"),
        (without_tensor, {}, 65, "the checkpoint lacks the tensor model.layers.0.mlp.up_proj.weight"),
        (without_tensor, {"RUNNER": "general"}, 65, "the checkpoint lacks the tensor model.layers.0.mlp.up_proj.weight"),
        (truncated, {}, 65, "model.safetensors is truncated"),
        (written("model.safetensors.index.json", '{"weight_map": 1}'), {}, 65, "model.safetensors.index.json has no weight_map"),
        (written("tokenizer.json", "{"), {}, 65, "tokenizer.json is not a tokenizer"),
        (written("tokenizer.json", '{"model": {"type": "Novel"}}'), {}, 65, "tokenizer.json is not a tokenizer"),
        (written("tokenizer_config.json", "{"), {}, 65, "tokenizer_config.json is not valid JSON"),
        (written("tokenizer_config.json", "[]"), {}, 65, "tokenizer_config.json is not a JSON object"),
        (written("special_tokens_map.json", "["), {}, 65, "special_tokens_map.json is not valid JSON"),
        (written("generation_config.json", "{"), {}, 65, "generation_config.json cannot be read"),
        (written("chat_template.jinja", "{% if %}"), {}, 65, "chat template is not valid"),
        (untouched, {"MAX_MODEL_LEN": "65"}, 78, "MAX_MODEL_LEN is 65, but the model supports 64 tokens: set at most 64"),
        (configured(rope_parameters={"rope_type": "dynamic", "factor": 2.0}), {"RUNNER": "torch"}, 78, "RUNNER=torch"),
        (untouched, {"RUNNER": "torch", "QUANTIZATION": "int8"}, 78, "set QUANTIZATION=none"),
        (untouched, {"RUNNER": "general", "QUANTIZATION": "int8"}, 78, "set QUANTIZATION=none"),
        (untouched, {"KV_CACHE_MEMORY": "1000"}, 78, "raise KV_CACHE_MEMORY"),
        (untouched, {"DTYPE": "nonsense"}, 78, "DTYPE=nonsense is not valid"),
        (untouched, {"MODEL_URI": "nonsense://x", "MODEL_PATH": ""}, 78, "unknown scheme 'nonsense'"),
        (untouched, {"MODEL_PATH": "/nothing"}, 66, "/nothing does not exist"),
    ],
)
def test_a_refusal_is_one_line_and_an_exit_code(
    tmp_path: Path, change: Change, settings: dict[str, str], exit_code: int, line: str
) -> None:
    change(write_folder(tmp_path / "tiny"))
    result = run_cli("check", env={"MODEL_PATH": str(tmp_path / "tiny"), "MODEL_CACHE": str(tmp_path / "cache")} | settings)
    assert result.exit_code == exit_code
    (said,) = result.stderr.splitlines()
    assert said.startswith("llm-api: ")
    assert line in said
    assert result.stdout == ""


def test_a_file_at_fault_is_found_without_torch(tmp_path: Path) -> None:
    configured(num_attention_heads=4)(write_folder(tmp_path / "tiny"))
    code = "import atexit, sys; atexit.register(lambda: print(sorted({'torch', 'transformers', 'fastapi'} & sys.modules.keys())))"
    command = [sys.executable, "-c", f"{code}; from llm_api.cli import main; main()", "check", str(tmp_path / "tiny")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (65, "[]\n")
    assert "q_proj.weight is [32, 32]" in result.stderr
