from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from engine.checkpoints import save
from engine.reference import Reference
from engine.texts import read_prompts

from llm_api.engine.executor import Executor
from llm_api.engine.messages import EngineConfig

MIB = 1024**2


@pytest.fixture(scope="session")
def prompts(model_path: Path) -> list[list[int]]:
    return read_prompts(model_path)


@pytest.fixture(scope="session")
def reference(model_path: Path) -> Reference:
    """The default model in transformers."""
    return Reference(model_path)


@pytest.fixture(scope="session")
def float32(model_path: Path) -> Executor:
    """The default model in float32, on the runner that a CPU uses by default."""
    return Executor(EngineConfig(model_path=str(model_path), dtype="float32", max_num_seqs=50, kv_cache_memory=512 * MIB))


@pytest.fixture(scope="session")
def bfloat16(model_path: Path) -> Executor:
    return Executor(EngineConfig(model_path=str(model_path), dtype="bfloat16", max_num_seqs=16, kv_cache_memory=256 * MIB))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of a tiny random model by its name in `checkpoints.configurations()`. Each is written once."""
    folder, made = tmp_path_factory.mktemp("checkpoints"), dict[str, Path]()

    def get(name: str) -> Path:
        if name not in made:
            made[name] = save(name, folder / name)
        return made[name]

    return get


@pytest.fixture(scope="session")
def tiny_reference(checkpoint: Callable[[str], Path]) -> Callable[[str], Reference]:
    """Returns the tiny random model of this name in transformers. Each is loaded once."""
    return cache(lambda name: Reference(checkpoint(name)))


@pytest.fixture(scope="session")
def tiny(checkpoint: Callable[[str], Path]) -> Executor:
    """A model of three small layers in float32. A step takes a millisecond."""
    return tiny_executor(checkpoint("llama"))


def tiny_executor(path: Path, **config: Any) -> Executor:
    defaults: dict[str, Any] = {
        "dtype": "float32",
        "max_num_seqs": 8,
        "max_num_batched_tokens": 32,
        "kv_cache_memory": MIB,
        "num_threads": 1,
    }
    return Executor(EngineConfig(model_path=str(path), **(defaults | config)))
