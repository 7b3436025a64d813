"""Incremental detokenization: a character that is split over several tokens appears when it is complete."""

import codecs
from collections.abc import Callable, Sequence
from typing import Protocol

from tokenizers import Tokenizer

REPLACEMENT = "\ufffd"
LONGEST_CHARACTER = 4  # bytes in UTF-8, and so tokens


class Detokenizer(Protocol):
    """The results of all pushes and of the flush, joined, are the text of all ids. Special tokens have no text."""

    def push(self, ids: Sequence[int]) -> str: ...

    def flush(self) -> str:
        """The rest of the text, with U+FFFD for an incomplete character. No push may follow."""
        ...


class ByteDetokenizer:
    """For vocabularies whose tokens stand for bytes. Each token costs one dictionary lookup."""

    def __init__(self, token_bytes: Callable[[int], bytes], strip_start: int = 0) -> None:
        self._token_bytes = token_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip = strip_start

    def push(self, ids: Sequence[int]) -> str:
        text = self._decoder.decode(b"".join(map(self._token_bytes, ids)))
        return self._strip_start(text) if self._strip else text

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)

    def _strip_start(self, text: str) -> str:
        while self._strip and text.startswith(" "):
            text, self._strip = text[1:], self._strip - 1
        if text:
            self._strip = 0
        return text


class StreamDetokenizer:
    """For any other decoder of the tokenizers library. The text continues the ids of `after`.

    The library's own DecodeStream raises an exception in the middle of a text where bytes are no UTF-8. This decodes the last tokens
    together instead: what they add to the text before them is new.
    """

    def __init__(self, tokenizer: Tokenizer, after: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = list(after)
        self._context = 0  # the new tokens are decoded with those from here on
        self._read = len(self._ids)  # the text of the tokens before is out

    def push(self, ids: Sequence[int]) -> str:
        return "".join(map(self._text_of, ids))

    def flush(self) -> str:
        before, now = self._decoded()
        return now[len(before) :]

    def _text_of(self, token_id: int) -> str:
        self._ids.append(token_id)
        before, now = self._decoded()
        incomplete = now.endswith(REPLACEMENT) and len(self._ids) - self._read < LONGEST_CHARACTER
        if incomplete or len(now) <= len(before):
            return ""
        self._context, self._read = self._read, len(self._ids)
        return now[len(before) :]

    def _decoded(self) -> tuple[str, str]:
        decode = self._tokenizer.decode
        return decode(self._ids[self._context : self._read]), decode(self._ids[self._context :])
