"""Architectures that nobody has tested, with code of their own: tried when they are loaded."""

import json
from pathlib import Path

import pytest
from engine.checkpoints import save
from engine.conftest import tiny_executor
from engine.driver import Engine, greedy
from engine.reference import Reference
from models.conformance import path_of

from llm_api.engine.errors import EngineError

PROMPTS = [[(7 * i) % 297 + 3 for i in range(length)] for length in (3, 20, 33)]
HEAD = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM

class OwnConfig(LlamaConfig):
    model_type = "own"

class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""
PLAIN = ""
COUNTS_POSITIONS = """
    def forward(self, input_ids=None, past_key_values=None, **options):
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        options["position_ids"] = torch.arange(past, past + input_ids.shape[1]).unsqueeze(0)
        return super().forward(input_ids=input_ids, past_key_values=past_key_values, **options)
"""
IGNORES_POSITIONS = """
    def forward(self, input_ids=None, past_key_values=None, position_ids=None, **options):
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        positions = torch.arange(past, past + input_ids.shape[1]).unsqueeze(0)
        return super().forward(input_ids=input_ids, past_key_values=past_key_values, position_ids=positions, **options)
"""
MIXES_NEIGHBOURS = """
    def forward(self, input_ids=None, **options):
        embedded = self.model.embed_tokens(input_ids)
        embedded[:, 1:] = embedded[:, 1:] + embedded[:, :-1].clone()
        return super().forward(inputs_embeds=embedded, **options)
"""
HAS_NO_CACHE = """
    def forward(self, input_ids=None, **options):
        options.pop("past_key_values", None)
        return super().forward(input_ids=input_ids, position_ids=torch.arange(input_ids.shape[1]).unsqueeze(0))
"""

FAILS = """
    def forward(self, input_ids=None, **options):
        if input_ids.shape[1] in {lengths}:
            raise TypeError("a kind that it does not know")
        return super().forward(input_ids=input_ids, **options)
"""
FAILS_IN_BATCHES = FAILS.format(lengths="{16}")  # of the trial: 5 and 6 tokens, and padding
FAILS_IN_PARTS = FAILS.format(lengths="{5, 16}")
OTHER_SHAPE_IN_BATCHES = """
    def forward(self, input_ids=None, **options):
        output = super().forward(input_ids=input_ids, **options)
        if input_ids.shape[1] == 16:
            output.logits = output.logits[..., :7]
        return output
"""


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))


def own_model(folder: Path, code: str) -> Path:
    save("llama", folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(HEAD + code)
    return folder


@pytest.mark.parametrize(
    ("code", "path"),
    [
        (PLAIN, "batched"),
        (COUNTS_POSITIONS, "one by one"),
        (IGNORES_POSITIONS, "one by one"),
        (FAILS_IN_BATCHES, "one by one"),
        (OTHER_SHAPE_IN_BATCHES, "one by one"),
    ],
    ids=["plain", "counts", "ignores", "fails", "other shape"],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_served_in_batches_only_if_batches_change_nothing(tmp_path: Path, code: str, path: str, dtype: str) -> None:
    assert path_of(tiny_executor(own_model(tmp_path / "model", code), allow_remote_code=True, dtype=dtype)) == path


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (MIXES_NEIGHBOURS, "cannot compute a text in parts"),
        (HAS_NO_CACHE, "only 0 of 3 layers"),
        (FAILS_IN_PARTS, "cannot compute a text in parts: it fails with TypeError: a kind that it does not know: not supported"),
    ],
    ids=["mixes", "no cache", "fails"],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_it_is_refused_if_parts_of_a_text_give_another_result(tmp_path: Path, code: str, reason: str, dtype: str) -> None:
    folder = own_model(tmp_path / "model", code)
    with pytest.raises(EngineError, match=reason) as refused:
        tiny_executor(folder, allow_remote_code=True, dtype=dtype)
    assert "\n" not in str(refused.value)


def test_one_that_counts_positions_itself_computes_what_it_is_based_on(tmp_path: Path) -> None:
    expected = Reference(save("llama", tmp_path / "llama")).greedy(PROMPTS, 16)
    executor = tiny_executor(own_model(tmp_path / "model", COUNTS_POSITIONS), allow_remote_code=True)
    assert greedy(Engine(executor, budget=8, sequences=2), PROMPTS, 16) == expected
