"""A text has the same tokens as with the tokenizer from which the GGUF was made.

GGUF_TEXTS=10000 compares more texts.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from gguf import TokenType
from tokenizers import Tokenizer
from weights.original_tokenizers import CONTROL, FAMILIES, USER_DEFINED, byte_level, sentencepiece, texts
from weights.tiny_models import write_llama

from llm_api.weights.errors import UnsupportedModel
from llm_api.weights.gguf.model import read_gguf

TEXTS = int(os.environ.get("GGUF_TEXTS", "300"))


def converted(path: Path, original: Tokenizer, **keys: Any) -> Tokenizer:
    """`keys` beside the tokens and their types, as llama.cpp's converter writes them."""
    ids = original.get_vocab()
    tokens = sorted(ids, key=ids.__getitem__)
    types = [_type(token, keys["tokenizer_model"]) for token in tokens]
    named = {"unk_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return read_gguf(write_llama(path, {"token_list": tokens, "token_types": types} | named | keys)).tokenizer.build()


def _type(token: str, model: str) -> TokenType:
    if token in CONTROL:
        return TokenType.UNKNOWN if (token, model) == ("<unk>", "llama") else TokenType.CONTROL
    if token in USER_DEFINED:
        return TokenType.USER_DEFINED
    return TokenType.BYTE if model == "llama" and token.startswith("<0x") else TokenType.NORMAL


def merges(original: Tokenizer) -> list[str]:
    return [" ".join(pair) for pair in json.loads(original.to_str())["model"]["merges"]]


def different(ours: Tokenizer, original: Tokenizer) -> list[str]:
    return [
        text
        for text in texts(TEXTS)
        if ours.encode(text, add_special_tokens=False).ids != original.encode(text, add_special_tokens=False).ids
    ]


@pytest.mark.parametrize("pre", FAMILIES)
def test_byte_level_tokens_are_those_of_the_original(tmp_path: Path, pre: str) -> None:
    original = byte_level(FAMILIES[pre])
    ours = converted(tmp_path / "m.gguf", original, tokenizer_model="gpt2", tokenizer_pre=pre, token_merges=merges(original))
    assert different(ours, original) == []
    assert ours.get_vocab() == original.get_vocab()


@pytest.mark.parametrize("adds_space", [True, False])
def test_sentencepiece_tokens_are_those_of_the_original(tmp_path: Path, adds_space: bool) -> None:
    original = sentencepiece(adds_space)
    scores = [-float(token_id) for token_id in range(original.get_vocab_size())]
    keys = {} if adds_space else {"add_space_prefix": False}  # a file that does not say has the space
    ours = converted(tmp_path / "m.gguf", original, tokenizer_model="llama", token_scores=scores, **keys)
    assert different(ours, original) == []
    assert ours.get_vocab() == original.get_vocab()


def test_a_space_follows_a_control_token_as_in_llama_2(tmp_path: Path) -> None:
    original = sentencepiece(adds_space=True)
    scores = [-float(token_id) for token_id in range(original.get_vocab_size())]
    ours = converted(tmp_path / "m.gguf", original, tokenizer_model="llama", token_scores=scores)
    assert ours.encode("a<|im_start|>a").tokens == ["<s>", "▁a", "<|im_start|>", "▁a"]
    assert ours.decode(ours.encode("a b").ids) == "a b"
    assert ours.encode("\x00").tokens == ["<s>", "▁", "<0x00>"]


@pytest.mark.parametrize(
    ("keys", "tokens"),
    [
        ({}, ["<s>", "▁a"]),
        ({"add_bos_token": False}, ["▁a"]),
        ({"add_bos_token": False, "add_eos_token": True}, ["▁a", "</s>"]),
        ({"add_bos_token": True, "add_eos_token": True}, ["<s>", "▁a", "</s>"]),
    ],
)
def test_the_file_says_which_tokens_begin_and_end_a_text(tmp_path: Path, keys: dict[str, bool], tokens: list[str]) -> None:
    original = sentencepiece(adds_space=True)
    scores = [-float(token_id) for token_id in range(original.get_vocab_size())]
    assert converted(tmp_path / "m.gguf", original, tokenizer_model="llama", token_scores=scores, **keys).encode("a").tokens == tokens


def test_phi_3_drops_spaces_after_control_tokens(tmp_path: Path) -> None:
    original = sentencepiece(adds_space=True)
    scores = [-float(token_id) for token_id in range(original.get_vocab_size())]
    ours = converted(tmp_path / "m.gguf", original, tokenizer_model="llama", token_scores=scores, name="Phi-3 mini")
    ids = [ours.token_to_id(token) for token in ("<|im_start|>", "▁a")]
    assert ours.encode("<|im_start|> \n a", add_special_tokens=False).ids == ids


@pytest.mark.parametrize("model", ["bert", "t5", "rwkv", "gemma4"])
def test_an_unknown_kind_of_tokenizer_is_refused(tmp_path: Path, model: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf"the tokenizer '{model}' \(tokenizer\.ggml\.model\)"):
        read_gguf(write_llama(tmp_path / "m.gguf", {"token_list": ["a", "b"], "tokenizer_model": model}))


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"token_list": ["a", "b", "a"]}, r"lists 'a' twice"),
        ({"token_list": ["a", "b"], "remove_extra_whitespaces": True}, r"the key tokenizer\.ggml\.remove_extra_whitespaces"),
        ({"token_list": ["a", "b"], "precompiled_charsmap": b"abc"}, r"the key tokenizer\.ggml\.precompiled_charsmap"),
        ({"token_list": ["a", "b"], "vocab_size": 3}, r"llama\.vocab_size is 3, but token_embd\.weight has 2 rows"),
    ],
)
def test_what_no_rule_covers_is_refused(tmp_path: Path, keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=reason):
        read_gguf(write_llama(tmp_path / "m.gguf", {"tokenizer_model": "llama"} | keys))
