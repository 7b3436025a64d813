"""Every architecture gives the numbers of transformers in float32 on the path that serves it, or is refused with a reason.

`make models` runs all cases of architectures.yaml, `make test` a sample.
"""

import os
from pathlib import Path

import pytest
from engine.checkpoints import save_random
from engine.conftest import tiny_executor
from models.catalogue import Case, read_cases
from models.conformance import assert_conforms
from models.tiny import tiny_config
from safetensors import safe_open

from llm_api.engine.errors import EngineError

EVERYTHING = os.environ.get("MODELS") == "all"
CASES = [case for case in read_cases() if EVERYTHING or case.in_sample]
FAST = ("native", "torch")
SEED = 16


@pytest.mark.parametrize("case", [case for case in CASES if case.path], ids=str)
def test_served_models_compute_what_transformers_computes(case: Case, tmp_path: Path) -> None:
    """Those with a fast path also compute it on the runners that other machines or settings choose."""
    folder = save_random(tiny_config(case.model_type, case.config), tmp_path, SEED)
    runners = {"auto": case.path} | ({"torch": "torch", "general": "batched"} if case.path in FAST else {})
    for runner, path in runners.items():
        assert path is not None
        assert_conforms(folder, path, runner=runner, max_model_len=case.max_model_len)


@pytest.mark.parametrize(("model_type", "path"), [("llama", "native"), ("cohere", "batched"), ("bloom", "one by one")])
def test_weights_in_half_precision_and_several_files_give_the_same(model_type: str, path: str, tmp_path: Path) -> None:
    config = tiny_config(model_type, {"dtype": "bfloat16"})
    folder = save_random(config, tmp_path, SEED, max_shard_size="60KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    assert checkpoint_dtypes(folder) == {"BF16"}
    assert_conforms(folder, path)


def checkpoint_dtypes(folder: Path) -> set[str]:
    dtypes = set[str]()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            dtypes |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118, not a dict
    return dtypes


@pytest.mark.parametrize("case", [case for case in CASES if case.refused], ids=str)
def test_other_models_are_refused_with_the_reason(case: Case, tmp_path: Path) -> None:
    folder = save_random(tiny_config(case.model_type, case.config), tmp_path, SEED)
    with pytest.raises(EngineError, match=case.refused) as refused:
        tiny_executor(folder, max_model_len=case.max_model_len)
    assert "\n" not in str(refused.value)
