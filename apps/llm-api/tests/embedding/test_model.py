"""Embeddings of tiny random models equal transformers' states, pooled by hand."""

from pathlib import Path
from typing import Any

import pytest
import torch
from embedding.tiny_encoder import tiny_encoder
from torch import Tensor
from transformers import AutoModel

from llm_api.embedding.files import UnsupportedEmbedding, read_files
from llm_api.embedding.model import EmbeddingModel

INPUTS = [[1, 4, 5, 6, 7, 2], [1, 4, 2], [1, 7, 6, 2]]


def states(folder: Path, token_ids: list[int]) -> Tensor:
    """Of one input alone, without padding."""
    with torch.inference_mode():
        found: Tensor = AutoModel.from_pretrained(folder).eval()(input_ids=torch.tensor([token_ids])).last_hidden_state[0]
    return found


@pytest.mark.parametrize(
    ("pooling", "by_hand"),
    [
        ({"pooling_mode_mean_tokens": True}, lambda rows: rows.mean(0)),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, lambda rows: rows[0]),
        ({"pooling_mode_max_tokens": True}, lambda rows: rows.amax(0)),
        ({"pooling_mode_lasttoken": True}, lambda rows: rows[-1]),
        ({"pooling_mode": "cls"}, lambda rows: rows[0]),
        (None, lambda rows: rows.mean(0)),
    ],
)
def test_a_batch_has_the_embeddings_of_its_inputs_alone(tmp_path: Path, pooling: Any, by_hand: Any) -> None:
    folder = tiny_encoder(tmp_path, pooling)
    found = EmbeddingModel(folder).embed(INPUTS)
    for row, token_ids in zip(found, INPUTS, strict=True):
        expected = by_hand(states(folder, token_ids))
        torch.testing.assert_close(row, expected / expected.norm(), atol=1e-5, rtol=1e-5)


def test_a_model_without_the_module_normalize_is_not_normalized(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path, {"pooling_mode_mean_tokens": True}, ("Transformer", "Pooling"))
    torch.testing.assert_close(EmbeddingModel(folder).embed(INPUTS[:1])[0], states(folder, INPUTS[0]).mean(0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "modules", "message"),
    [
        ({"pooling_mode_weightedmean_tokens": True}, ("Transformer", "Pooling"), "asks for the pooling weightedmean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, ("Transformer", "Pooling"), "cls and mean"),
        ({"pooling_mode_mean_tokens": True}, ("Transformer", "Pooling", "Dense"), "has the module Dense, which is not supported"),
    ],
)
def test_what_cannot_be_computed_is_refused_by_name(tmp_path: Path, pooling: Any, modules: tuple[str, ...], message: str) -> None:
    with pytest.raises(UnsupportedEmbedding, match=message):
        read_files(tiny_encoder(tmp_path, pooling, modules))


def test_the_shortest_of_the_stated_lengths_counts(tmp_path: Path) -> None:
    folder = tiny_encoder(tmp_path)
    assert read_files(folder).max_length == 32
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    assert read_files(folder).max_length == 16
