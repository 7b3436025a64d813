"""Every family that the engine's own decoders compute has the logprobs and the greedy tokens of transformers, on both runners."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine.checkpoints import save_configured
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from engine.fast_families import fast_families
from engine.reference import Reference
from engine.test_native import PROMPTS, logits

TOLERANCE = 1e-3  # of a logprob in float32
LONGEST = 192  # tokens: the context up to which the longrope model has its short factors
Saved = Callable[[str], tuple[Path, Reference]]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    folder, made = tmp_path_factory.mktemp("families"), dict[str, tuple[Path, Reference]]()

    def get(name: str) -> tuple[Path, Reference]:
        if name not in made:
            path = save_configured(FAMILIES[name], name, folder / name)
            made[name] = path, Reference(path)
        return made[name]

    return get


FAMILIES = fast_families()


@pytest.mark.parametrize("runner", ["torch", "native"])
@pytest.mark.parametrize("name", FAMILIES)
def test_logprobs_and_greedy_tokens_are_those_of_transformers(saved: Saved, name: str, runner: str) -> None:
    path, reference = saved(name)
    executor = tiny_executor(path, runner=runner, max_model_len=LONGEST)
    assert executor.model.name == runner
    expected = reference.logits(PROMPTS[-1]).log_softmax(-1)
    with torch.inference_mode():
        actual = logits(executor, PROMPTS[-1]).log_softmax(-1)
    assert (actual - expected).abs().max() < TOLERANCE
    assert greedy(Engine(executor), PROMPTS, 16) == reference.greedy(PROMPTS, 16)
