import re
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenization.vocabularies import DECODERS, WITH_BYTES, byte_fallback, byte_level_bpe, metaspace, save

from llm_api.tokenization.detokenizer import StreamDetokenizer
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


Kind = Callable[[], tokenizers.Tokenizer]
SPECIAL, ADDED = "<|turn|>", "<think>"


@pytest.fixture(scope="module")
def library_of_kind(kind: Kind) -> tokenizers.Tokenizer:
    made = kind()
    made.add_special_tokens([SPECIAL])
    made.add_tokens([ADDED])
    return made


@pytest.fixture(scope="module")
def tokenizer_of_kind(library_of_kind: tokenizers.Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer(save(library_of_kind, tmp_path_factory.mktemp("kind")))


RANKS = st.lists(st.integers(0, 10**6), max_size=24)


def _ids(library: tokenizers.Tokenizer, ranks: list[int]) -> list[int]:
    """Any ids, special and unknown ones among them."""
    return [rank % (library.get_vocab_size() + 1) for rank in ranks]


@pytest.mark.parametrize("kind", DECODERS, scope="module")
@given(ranks=RANKS)
@settings(deadline=None, max_examples=60)
def test_every_push_shows_the_whole_decode_so_far(
    library_of_kind: tokenizers.Tokenizer, tokenizer_of_kind: Tokenizer, ranks: list[int]
) -> None:
    ids = _ids(library_of_kind, ranks)
    detokenizer = tokenizer_of_kind.detokenizer()
    shown = list(accumulate(detokenizer.push([token_id]) for token_id in ids))
    for end, text in enumerate(shown, 1):
        whole = library_of_kind.decode(ids[:end])
        if "\ufffd" in whole:  # the library replaces the whole characters beside an incomplete one, too, or the text waits
            return
        assert text == whole
    assert detokenizer.flush() == ""


@pytest.mark.parametrize("kind", DECODERS, scope="module")
@given(ranks=RANKS, cut=st.integers(0, 24))
@settings(deadline=None, max_examples=60)
def test_a_text_continues_its_prompt(
    library_of_kind: tokenizers.Tokenizer, tokenizer_of_kind: Tokenizer, ranks: list[int], cut: int
) -> None:
    ids = _ids(library_of_kind, ranks)
    prompt, whole = library_of_kind.decode(ids[:cut]), library_of_kind.decode(ids)
    if "\ufffd" not in prompt + whole:  # another test has prompts that end within a character
        assert prompt + "".join(pushes(tokenizer_of_kind, ids[cut:], [], after=tuple(ids[:cut]))) == whole


@pytest.mark.parametrize("kind", WITH_BYTES, scope="module")
@pytest.mark.parametrize("cut", [1, 2])
@pytest.mark.parametrize("before", ["", "hello", "€" * 9])
def test_a_character_that_begins_in_the_prompt_is_completed(tokenizer_of_kind: Tokenizer, before: str, cut: int) -> None:
    ids = tokenizer_of_kind.encode(f"{before}€hello", add_special_tokens=False)
    cut += len(tokenizer_of_kind.encode(f"{before}\x01", add_special_tokens=False)) - 1
    assert "".join(pushes(tokenizer_of_kind, ids[cut:], [], after=tuple(ids[:cut]))) == "€hello"


@pytest.mark.parametrize("kind", [byte_level_bpe], scope="module")
@given(ranks=RANKS, cuts=CUTS)
@settings(deadline=None)
def test_bytes_that_are_no_utf8_are_replaced_as_the_library_does(
    library_of_kind: tokenizers.Tokenizer, tokenizer_of_kind: Tokenizer, ranks: list[int], cuts: list[int]
) -> None:
    ids = _ids(library_of_kind, ranks)
    assert "".join(pushes(tokenizer_of_kind, ids, cuts)) == library_of_kind.decode(ids)


class CountedDecoder:
    """Counts the ids that are decoded. Ids from 10 on have no text."""

    def __init__(self) -> None:
        self.decoded = 0

    def decode(self, ids: Sequence[int], skip_special_tokens: bool) -> str:
        assert not skip_special_tokens  # the detokenizer leaves them out, but for those that it keeps
        self.decoded += len(ids)
        return "".join(chr(ord("a") + token_id) for token_id in ids if token_id < 10)


@pytest.mark.parametrize("token_id", [1, 99])
def test_a_token_costs_the_same_in_a_long_text(token_id: int) -> None:
    library: Any = CountedDecoder()
    detokenizer = StreamDetokenizer(library, special={5}, after=[5, token_id] * 10_000)
    assert library.decoded < 1000
    for _ in range(2000):
        detokenizer.push([5, token_id])
    assert library.decoded < 2000 * 100
    assert detokenizer.push([0]) == "a"
