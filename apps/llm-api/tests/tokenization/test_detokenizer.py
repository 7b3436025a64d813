import re
from itertools import pairwise
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenization.vocabularies import byte_fallback, metaspace

from llm_api.tokenization.tokenizer import Tokenizer

# The model's vocabulary lacks the bytes of some control characters and of planes that hold no characters yet.
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0x3FFFF), max_size=40)
CUTS = st.lists(st.integers(0, 60), max_size=8)


@pytest.fixture(scope="module")
def tokenizer(model_path: Path) -> Tokenizer:
    return Tokenizer(model_path)


@pytest.fixture(scope="module")
def library(model_path: Path) -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(model_path / "tokenizer.json"))


@pytest.fixture(scope="module")
def fallback_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_fallback(tmp_path_factory.mktemp("byte_fallback"))


@pytest.fixture(scope="module")
def regex_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return byte_fallback(tmp_path_factory.mktemp("regex"), by_regex=True)


@pytest.fixture(scope="module")
def metaspace_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return metaspace(tmp_path_factory.mktemp("metaspace"))


def pushes(tokenizer: Tokenizer, ids: list[int], cuts: list[int], after: tuple[int, ...] = ()) -> list[str]:
    bounds = [0, *sorted(min(cut, len(ids)) for cut in cuts), len(ids)]
    detokenizer = tokenizer.detokenizer(after)
    texts = [detokenizer.push(ids[start:end]) for start, end in pairwise(bounds)]
    return [*texts, detokenizer.flush()]


@given(ids=st.lists(st.integers(0, 49151), max_size=60), cuts=CUTS)
@settings(deadline=None)
def test_pushed_texts_are_the_full_decode_of_any_ids(
    tokenizer: Tokenizer, library: tokenizers.Tokenizer, ids: list[int], cuts: list[int]
) -> None:
    assert "".join(pushes(tokenizer, ids, cuts)) == library.decode(ids)


@given(text=TEXTS, cuts=CUTS)
@settings(deadline=None)
def test_no_push_shows_half_a_character(tokenizer: Tokenizer, text: str, cuts: list[int]) -> None:
    texts = pushes(tokenizer, tokenizer.encode(text, add_special_tokens=False), cuts)
    assert "".join(texts) == text
    assert sum(part.count("\ufffd") for part in texts) == text.count("\ufffd")


@given(text=TEXTS, cuts=CUTS)
@settings(deadline=None)
def test_byte_fallback_texts_come_back_whole(fallback_path: Path, text: str, cuts: list[int]) -> None:
    tokenizer = Tokenizer(fallback_path)
    library = tokenizers.Tokenizer.from_file(str(fallback_path / "tokenizer.json"))
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert "".join(pushes(tokenizer, ids, cuts)) == library.decode(ids)


def test_an_invalid_byte_does_not_change_the_characters_before_it(fallback_path: Path) -> None:
    euro = [3 + byte for byte in "€".encode()]
    assert pushes(Tokenizer(fallback_path), [*euro, 3 + 0xF0], [3]) == ["€", "", "\ufffd"]


@pytest.mark.parametrize("by_regex", [False, True])
def test_bytes_that_are_no_utf8_become_replacement_characters(tmp_path: Path, by_regex: bool) -> None:
    tokenizer = Tokenizer(byte_fallback(tmp_path, by_regex=by_regex))
    hello = tokenizer.encode("hello", add_special_tokens=False)[-1:]
    texts = pushes(tokenizer, [*hello, 3 + 0xE2, *hello, 3 + 0xFF, 3 + 0xE2, 3 + 0x82, *hello], list(range(8)))
    assert re.sub("\ufffd+", "?", "".join(texts)) == "?".join([tokenizer.decode(hello)] * 3)


@given(ids=st.lists(st.integers(3, 270), max_size=12), cuts=CUTS)
@settings(deadline=None)
def test_any_tokens_of_a_vocabulary_with_bytes_have_a_text(regex_path: Path, ids: list[int], cuts: list[int]) -> None:
    assert len("".join(pushes(Tokenizer(regex_path), ids, cuts))) >= sum(token >= 259 for token in ids) - 1


def test_a_leading_space_is_removed_only_at_the_start_of_a_text(fallback_path: Path, tmp_path: Path) -> None:
    for tokenizer in (Tokenizer(fallback_path), Tokenizer(metaspace(tmp_path))):
        hello = tokenizer.encode(" hello", add_special_tokens=False)[-5:]
        world = [token for token in range(300) if tokenizer.token_text(token).strip() == "world"]
        assert "".join(pushes(tokenizer, world, [])) == "world"
        assert "".join(pushes(tokenizer, world, [], after=tuple(hello))) == " world"
        assert "".join(pushes(tokenizer, world, [], after=(1,))) == "world"


@given(ids=st.lists(st.integers(0, 14), max_size=20), cuts=CUTS)
@settings(deadline=None)
def test_other_vocabularies_stream_their_full_decode(metaspace_path: Path, ids: list[int], cuts: list[int]) -> None:
    library = tokenizers.Tokenizer.from_file(str(metaspace_path / "tokenizer.json"))
    assert "".join(pushes(Tokenizer(metaspace_path), ids, cuts)) == library.decode(ids)


def test_a_character_with_a_special_token_inside_stays_whole(tokenizer: Tokenizer) -> None:
    first, *rest = tokenizer.encode("🎉", add_special_tokens=False)
    assert "".join(pushes(tokenizer, [first, 2, *rest], [1, 2])) == "🎉"
