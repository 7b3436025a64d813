from pathlib import Path

import pytest
import tokenizers
from tokenization.vocabularies import byte_fallback, metaspace, words

from llm_api.tokenization.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer(model_path: Path) -> Tokenizer:
    return Tokenizer(model_path)


def test_encodes_as_the_library_does(tokenizer: Tokenizer, model_path: Path) -> None:
    library = tokenizers.Tokenizer.from_file(str(model_path / "tokenizer.json"))
    for text in ("", " ", "Hello wörld 🎉", "<|im_start|>user\nhi<|im_end|>", "日本語\r\n\ttab\x00"):
        assert tokenizer.encode(text, add_special_tokens=True) == library.encode(text).ids


def test_strings_of_special_tokens_become_those_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode("<|im_start|>", add_special_tokens=False) == [1]


def test_a_lone_surrogate_becomes_the_replacement_character(tokenizer: Tokenizer) -> None:
    assert tokenizer.decode(tokenizer.encode("a\ud800b\udc00🎉", add_special_tokens=False)) == "a\ufffdb\ufffd🎉"


def test_the_tokens_around_a_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert tokenizer.special_ids_around == ([], [])
    library = words()
    library.add_special_tokens(["<s>", "</s>"])
    ends = [(token, library.token_to_id(token)) for token in ("<s>", "</s>")]
    library.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ends)
    library.save(str(tmp_path / "tokenizer.json"))
    assert Tokenizer(tmp_path).special_ids_around == ([ends[0][1]], [ends[1][1]])


def test_tokens_of_a_text_have_its_bytes(tokenizer: Tokenizer) -> None:
    text = "Ünïcode 👩‍👩‍👧 and <|im_end|>"
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert b"".join(map(tokenizer.token_bytes, ids)).decode() == text


def test_a_part_of_a_character_is_written_as_its_bytes(tokenizer: Tokenizer) -> None:
    first, *_ = tokenizer.encode("🎉", add_special_tokens=False)
    assert tokenizer.token_text(first) == r"bytes:\xf0\x9f"
    assert tokenizer.token_text(tokenizer.encode(" Hello", add_special_tokens=False)[0]) == " Hello"


def test_an_id_outside_the_vocabulary_has_no_text(tokenizer: Tokenizer) -> None:
    assert tokenizer.token_bytes(10**6) == b""
    assert tokenizer.decode([10**6]) == ""


def test_byte_fallback_tokens_are_single_bytes_and_metaspace_is_a_space(tmp_path: Path) -> None:
    tokenizer = Tokenizer(byte_fallback(tmp_path))
    ids = tokenizer.encode("hello€", add_special_tokens=False)
    assert b"".join(map(tokenizer.token_bytes, ids)) == " hello€".encode()
    assert tokenizer.token_bytes(3 + 0xE2) == b"\xe2"
    assert tokenizer.decode(ids) == "hello€"


def test_a_vocabulary_without_bytes_still_has_token_texts(tmp_path: Path) -> None:
    tokenizer = Tokenizer(metaspace(tmp_path))
    assert tokenizer.token_text(4) == "hello"
    assert tokenizer.decode([4, 5]) == "hello world"


def test_least_tokens_never_exceeds_the_real_count(tokenizer: Tokenizer) -> None:
    for text in (" " * 1000, "a" * 1000, "-" * 1000, "Hello world " * 50):
        assert 0 < tokenizer.least_tokens(text) <= len(tokenizer.encode(text, add_special_tokens=False))
