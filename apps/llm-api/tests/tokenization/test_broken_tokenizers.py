"""A tokenizer.json that is broken is refused in one line; what a file may leave out is not needed."""

import json
from pathlib import Path

import pytest

from llm_api.tokenization.tokenizer import Tokenizer, UnusableTokenizer

PLAIN = {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "b"}}


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"",
        b"[]",
        b'{"model": {"type": "New"}}',
        json.dumps(PLAIN | {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}}).encode(),  # the library panics
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(UnusableTokenizer, match="tokenizer.json is not a tokenizer") as refused:
        Tokenizer(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_file_may_leave_out_what_it_does_not_have(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(PLAIN))
    tokenizer = Tokenizer(tmp_path)
    assert (tokenizer.kind, tokenizer.added_tokens, tokenizer.encode("a", add_special_tokens=False)) == ("WordLevel", [], [0])
