"""A model's own Python code runs only if the settings allow it."""

import json
from pathlib import Path

import pytest
from engine.checkpoints import save
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy

from llm_api.engine.errors import EngineError

CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM

Path({mark!r}).touch()

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that appears when the model's code runs."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    return tmp_path / "ran"


def with_code(path: Path, model_type: str, mark: Path) -> Path:
    config = json.loads((path / "config.json").read_text())
    config |= {"model_type": model_type, "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}}
    (path / "config.json").write_text(json.dumps(config))
    (path / "own.py").write_text(CODE.format(mark=str(mark)))
    return path


def test_it_does_not_run_unless_allowed(tmp_path: Path, mark: Path) -> None:
    path = with_code(save("llama", tmp_path / "model"), "own", mark)
    with pytest.raises(EngineError, match="custom code") as refused:
        tiny_executor(path)
    assert "\n" not in str(refused.value)
    assert not mark.exists()


@pytest.mark.parametrize("runner", ["auto", "general"])
def test_a_supported_family_does_not_need_it(tmp_path: Path, mark: Path, runner: str) -> None:
    path = with_code(save("llama", tmp_path / "model"), "llama", mark)
    assert greedy(Engine(tiny_executor(path, runner=runner)), [[5, 6, 7]], 4)
    assert not mark.exists()


def test_it_runs_if_allowed(tmp_path: Path, mark: Path) -> None:
    plain = save("llama", tmp_path / "plain")
    expected = greedy(Engine(tiny_executor(plain)), [[5, 6, 7]], 8)
    path = with_code(save("llama", tmp_path / "model"), "own", mark)
    assert greedy(Engine(tiny_executor(path, allow_remote_code=True)), [[5, 6, 7]], 8) == expected
    assert mark.exists()
