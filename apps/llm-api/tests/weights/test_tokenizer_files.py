"""Tokenizers in other files than tokenizer.json: converted to the same tokens, or refused by name."""

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer, sentencepiece_model_pb2
from tokenizers import Tokenizer
from weights.tiny_models import write_folder

from llm_api.bench import prompts
from llm_api.weights.conversion_worker import convert_tokenizer
from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.folder import inspect

CORPUS = (Path(prompts.__file__).parent / "corpus.txt").read_text(encoding="utf-8")
OTHERS = ["  two", "é漢字🙂", "def f(x):\n    return x", "\t\r\n", "9 12 345", "Привет", " end ", "…x", "Ａﬁ½"]
TEXTS = [CORPUS[start : start + 40] for start in range(0, 8000, 40)] + [a + b for a in OTHERS for b in OTHERS]


def trained(folder: Path, **options: Any) -> SentencePieceProcessor:
    """Writes tokenizer.model to the folder, like a family's: spaces are kept, bytes stand for unknown characters."""
    settings: dict[str, Any] = {"vocab_size": 500, "byte_fallback": True, "character_coverage": 0.99, "normalization_rule_name": "identity"}
    settings |= {"remove_extra_whitespaces": False, "num_threads": 1, "minloglevel": 2} | options
    model = BytesIO()
    SentencePieceTrainer.train(sentence_iterator=iter(CORPUS.splitlines()), model_writer=model, **settings)
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    return SentencePieceProcessor(model_proto=model.getvalue())


def converted(folder: Path, **settings: Any) -> Tokenizer:
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    convert_tokenizer(folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("options", [{}, {"add_dummy_prefix": False}, {"normalization_rule_name": "nfkc"}, {"model_type": "unigram"}])
@pytest.mark.parametrize("settings", [{}, {"legacy": True}])
def test_tokens_equal_those_of_sentencepiece(tmp_path: Path, options: dict[str, Any], settings: dict[str, Any]) -> None:
    original = trained(tmp_path, **{"model_type": "bpe"} | options)
    tokenizer = converted(tmp_path, **settings)
    starts_with_space = bool(settings) or "add_dummy_prefix" in options
    for text in TEXTS if starts_with_space else [text.lstrip(" ") for text in TEXTS]:  # transformers adds no second space
        ids = original.encode(text)
        assert tokenizer.encode(text, add_special_tokens=False).ids == ids
        assert tokenizer.decode(ids) == original.decode(ids)
    assert tokenizer.encode("a").tokens[0] == "<s>"


def test_added_tokens_keep_their_ids(tmp_path: Path) -> None:
    trained(tmp_path, model_type="bpe")
    added = {"500": {"content": "<|im_start|>", "special": True}, "501": {"content": "<tool>", "special": False}}
    tokenizer = converted(tmp_path, added_tokens_decoder=added, add_bos_token=False)
    assert tokenizer.encode("<|im_start|><tool>").ids == [500, 501]
    assert tokenizer.decode([500, 501]) == "<tool>"


def test_a_gap_before_an_added_token_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, model_type="bpe")
    (tmp_path / "added_tokens.json").write_text('{"<tool>": 600}')
    with pytest.raises(UnsupportedModel, match=r"the added token '<tool>' the id 600, which leaves a gap"):
        converted(tmp_path)


def test_a_model_that_would_get_other_tokens_is_refused(tmp_path: Path) -> None:
    """Removal of extra spaces has no equal in tokenizer.json."""
    trained(tmp_path, model_type="bpe", remove_extra_whitespaces=True)
    with pytest.raises(UnsupportedModel, match=r"tokenizer\.model cannot be converted exactly: .*Add the tokenizer\.json"):
        converted(tmp_path)


def test_a_kind_of_sentencepiece_without_subwords_is_refused(tmp_path: Path) -> None:
    trained(tmp_path, model_type="bpe")
    generated: Any = sentencepiece_model_pb2
    proto = generated.ModelProto.FromString((tmp_path / "tokenizer.model").read_bytes())
    proto.trainer_spec.model_type = 4  # characters
    (tmp_path / "tokenizer.model").write_bytes(proto.SerializeToString())
    with pytest.raises(UnsupportedModel, match="other than BPE and unigram"):
        converted(tmp_path)


def tekken(**changes: Any) -> dict[str, Any]:
    """Twenty control tokens, the 256 bytes, and four words; the rest of the vocabulary is beyond the model's size."""
    tokens = [bytes([byte]) for byte in range(256)] + [b"th", b" t", b"the", b" the", b"never"]
    vocabulary = [{"rank": rank, "token_bytes": base64.b64encode(token).decode()} for rank, token in enumerate(tokens)]
    config = {"pattern": r"\p{N}| ?[^\s\p{L}\p{N}]+|\s*\p{L}+|\s+", "default_vocab_size": 280, "default_num_special_tokens": 20}
    return {"config": config, "vocab": vocabulary} | changes


def test_tekken_has_its_control_tokens_first(tmp_path: Path) -> None:
    (tmp_path / "tekken.json").write_text(json.dumps(tekken()))
    tokenizer = converted(tmp_path)
    assert tokenizer.encode(" the the7").ids == [1, 279, 279, 20 + ord("7")]
    assert tokenizer.encode("[INST]never[/INST]", add_special_tokens=False).ids == [3, *(20 + byte for byte in b"never"), 4]
    assert tokenizer.decode([279, 20 + 0xC3, 20 + 0xA9]) == " theé"
    assert tokenizer.get_vocab_size() == 280


def test_tekken_lists_its_control_tokens(tmp_path: Path) -> None:
    special = [{"rank": rank, "token_str": token} for rank, token in enumerate(["<unk>", "<s>", "</s>", "[THINK]"])]
    (tmp_path / "tekken.json").write_text(json.dumps(tekken(special_tokens=special)))
    tokenizer = converted(tmp_path)
    assert [tokenizer.token_to_id(token) for token in ("[THINK]", "<SPECIAL_4>", "[INST]")] == [3, 4, None]


@pytest.mark.parametrize("name", ["tokenizer.model", "qwen.tiktoken"])
def test_a_tiktoken_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path)
    (folder / "tokenizer.json").unlink()
    (folder / name).write_text("IQ== 0\nIg== 1\n")
    with pytest.raises(UnsupportedModel, match=rf"{name} is a tiktoken vocabulary.*Add the model's tokenizer\.json"):
        inspect(folder)
